"""What docker-compose.yml and Dockerfile must hold to; there is no engine here to run them."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from app.services.api_keys import parse_key
from app.settings import SECRETS, Settings
from storage.artifacts import ARTIFACT_STORES, S3StoreConfig
from tests.architecture.containers import COMPOSE, OURS, ROOT, SERVICES, environment_of, instructions

ONE_SHOT = {"bucket"}


@pytest.mark.parametrize("name", SERVICES)
class TestService:
    def test__ports__only_of_the_api_and_on_loopback(self, name: str) -> None:
        ports = SERVICES[name].get("ports", [])
        assert bool(ports) == (name == "api")
        assert all(port.startswith("127.0.0.1:") for port in ports)
        assert ("published" in SERVICES[name]["networks"]) == (name == "api")
        assert COMPOSE["networks"]["internal"]["internal"] is True

    def test__process__has_no_more_rights_than_it_needs(self, name: str) -> None:
        service = SERVICES[name]
        user, group = str(service["user"]).split(":")
        assert int(user) > 0
        assert int(group) > 0
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "no-new-privileges:true" in service["security_opt"]
        assert not service.keys() & {"privileged", "network_mode", "pid", "cap_add", "devices"}
        assert all(volume.split(":")[0] in COMPOSE["volumes"] for volume in service.get("volumes", []))
        assert all(service[limit] for limit in ("mem_limit", "cpus", "pids_limit"))

    def test__image__is_pinned(self, name: str) -> None:
        tag = SERVICES[name]["image"].partition(":")[2]
        assert tag.count(".") >= 1
        assert tag != "latest"

    def test__health__is_watched_and_waited_for(self, name: str) -> None:
        check = SERVICES[name]["healthcheck"]
        assert check.get("disable") is True if name in ONE_SHOT else len(check["test"]) > 1
        for other, wait in SERVICES[name].get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert wait["condition"] == wanted

    def test__secrets__are_files(self, name: str) -> None:
        for variable, value in SERVICES[name].get("environment", {}).items():
            if variable.startswith("ROOTSTOCK_"):
                is_secret = variable.removeprefix("ROOTSTOCK_").removesuffix("_FILE").lower() in SECRETS
            else:
                is_secret = any(word in variable for word in ("PASSWORD", "SECRET", "TOKEN"))
            if is_secret:
                assert variable.endswith("_FILE")
                assert value.startswith("/run/secrets/")
                assert Path(value).name in SERVICES[name]["secrets"]
        for secret in SERVICES[name].get("secrets", []):
            assert COMPOSE["secrets"][secret].keys() == {"file"}


@pytest.mark.parametrize("name", OURS)
def test__variables__are_settings(name: str) -> None:
    fields = set(Settings.model_fields)
    fields |= {f"artifacts__{field}" for config in ARTIFACT_STORES for field in config.model_fields}
    for variable in environment_of(name):
        setting = variable.removeprefix("ROOTSTOCK_").lower()
        assert setting in fields or setting.removesuffix("_file") in SECRETS, variable
        assert variable.startswith("ROOTSTOCK_")


def test__store__named_in_compose__is_a_valid_configuration() -> None:
    prefix = "ROOTSTOCK_ARTIFACTS__"
    given = {
        name.removeprefix(prefix).lower(): value
        for name, value in environment_of("api").items()
        if name.startswith(prefix) and not name.endswith("_FILE")
    }
    config = TypeAdapter(S3StoreConfig).validate_python(given)
    assert config.endpoint == "http://store:8333"


def test__secrets__made_by_the_script__are_all_there_and_usable(tmp_path: Path) -> None:
    script, folder = ROOT / "deploy" / "make-secrets.sh", tmp_path / "secrets"
    for _ in range(2):  # the second time nothing changes
        subprocess.run(["sh", script, folder], check=True)
        found = {path.name: path.read_text() for path in folder.iterdir()}
        assert found.keys() == COMPOSE["secrets"].keys()
        assert parse_key(found["admin_key"]) is not None
    assert {path.name: path.read_text() for path in folder.iterdir()} == found
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert found["database_password"] in found["database_url"]
    (identity,) = json.loads(found["store_config"])["identities"]
    assert identity["credentials"] == [
        {"accessKey": found["store_access_key_id"], "secretKey": found["store_secret_access_key"]}
    ]


class TestDockerfile:
    def test__process__is_not_root_and_is_watched(self) -> None:
        last_stage = instructions()
        start = max(index for index, (keyword, _) in enumerate(last_stage) if keyword == "FROM")
        keywords = dict(last_stage[start:])
        assert int(keywords["USER"].split(":")[0]) > 0
        assert str(SERVICES["api"]["user"]) == keywords["USER"]
        assert "health" in keywords["HEALTHCHECK"]
        assert keywords["ENTRYPOINT"] == '["rootstock"]'

    def test__copied__is_there_and_goes_to_the_builder(self) -> None:
        let_through = {
            line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
        }
        assert (ROOT / ".dockerignore").read_text().splitlines().count("*") == 1
        for keyword, rest in instructions():
            if keyword == "COPY" and not rest.startswith("--from"):
                *sources, _ = rest.split()
                for source in sources:
                    assert (ROOT / source).exists(), source
                    assert source.removeprefix("./") in let_through

    def test__build__is_pinned_and_knows_no_secret(self) -> None:
        text = (ROOT / "Dockerfile").read_text()
        assert "-c constraints.txt" in text
        assert "latest" not in text
        for keyword, rest in instructions():
            if keyword in ("ARG", "ENV"):
                assert not any(word in rest.upper() for word in ("SECRET", "PASSWORD", "TOKEN"))
        assert [rest for keyword, rest in instructions() if keyword == "ADD"] == []
