"""What an operator can set; the only module of the project that reads the environment.

Every field is read from `ROOTSTOCK_<NAME>`; fields of the artifact store from `ROOTSTOCK_ARTIFACTS__<NAME>`;
lists are written with commas. Secrets may be in files instead, as containers get them: `ROOTSTOCK_<NAME>_FILE` is then
the file's path (`SECRETS` lists which).
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from storage.artifacts import ArtifactStoreConfig, LocalStoreConfig, S3StoreConfig

GIB = 1 << 30
MIB = 1 << 20

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Host headers that are always answered: a page of another site cannot make a browser send these with its own name."""

CommaSeparated = Annotated[tuple[str, ...], NoDecode]
NamedFolders = Annotated[dict[str, Path], NoDecode]
_FOLDER_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def _cores() -> int:
    """Cores this process may use: a container often allows fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int:
    """Memory this process may use: that of its control group where one sets a limit, else the machine's."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for file in (
        Path("/sys/fs/cgroup/memory.max"),
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    ):
        try:
            return min(total, int(file.read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total


SECRETS = (
    "database_url",
    "key",
    "admin_key",
    "artifacts__access_key_id",
    "artifacts__secret_access_key",
    "artifacts__session_token",
)
"""Settings that can be given as a file: `database_url` by ROOTSTOCK_DATABASE_URL_FILE and so on."""

_PREFIX = "ROOTSTOCK_"
_MAX_SECRET_BYTES = 65_536


class SecretFiles(PydanticBaseSettingsSource):
    """The contents of the files that `ROOTSTOCK_<NAME>_FILE` variables name, without the line end."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False  # pydantic's way to ask for one field; `__call__` gives all at once

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in SECRETS:
            variable = f"{_PREFIX}{name.upper()}_FILE"
            path = os.environ.get(variable)
            if not path:
                continue
            if os.environ.get(variable.removesuffix("_FILE")):
                raise ValueError(f"{variable} and {variable.removesuffix('_FILE')} are both set: keep one")
            *parents, last = name.split("__")
            place = found
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = _secret_in(Path(path), variable)
        return found


def _secret_in(path: Path, variable: str) -> str:
    """Messages name the variable and the path, never what is in the file."""
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(_MAX_SECRET_BYTES + 1)
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "not UTF-8"
        raise ValueError(f"{variable}: the file {path} cannot be read ({reason})") from None
    if not text or len(data) > _MAX_SECRET_BYTES or any(ord(character) < 32 for character in text):
        raise ValueError(f"{variable}: the file {path} must hold one line of text")
    return text


class Settings(BaseSettings):
    """Frozen after start; below `app` nothing sees it, parts receive the values they need."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        validate_default=True,
        hide_input_in_errors=True,  # URLs of databases hold passwords
    )

    home: Path = Field(default_factory=lambda: Path.home() / ".rootstock")
    database_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['home']}/rootstock.db", repr=False
    )  # or postgresql://user:password@host/name; see docs/operations.md for poolers
    database_pool_size: int = Field(
        default=10, ge=1, le=1000
    )  # connections kept; bursts take up to four times
    artifacts: ArtifactStoreConfig = Field(
        default_factory=lambda data: LocalStoreConfig(kind="local", root=data["home"] / "artifacts")
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8321, ge=0, le=65535)
    allowed_hosts: CommaSeparated = ()  # Host headers besides loopback; `*.example.com` matches subdomains
    allowed_origins: CommaSeparated = ()  # Origins besides the service's own, as `https://app.example.com`

    url: str | None = None  # the service the command line talks to; by default the one of this home
    key: SecretStr | None = None  # the key it shows; by default the admin key of this home
    admin_key: SecretStr | None = (
        None  # the first key, chosen beforehand, for containers (rs_<16 hex>_<64 hex>)
    )

    embedded_worker: bool = True
    executor: str = "forkserver"  # a name of app.executors
    worker_slots: int = Field(default=1, ge=1)
    worker_threads: int = Field(
        default_factory=lambda: max(1, _cores() - 1), ge=1
    )  # torch threads of one job
    worker_kinds: CommaSeparated = ()  # kinds of jobs that workers take; all by default
    worker_device: str = Field(
        default="cpu", pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$"
    )  # where weights are trained; `auto`: a GPU where there is one
    job_memory_bytes: int = Field(default_factory=_memory_bytes, ge=1)  # what one job may take
    inference_threads: int = Field(default_factory=lambda: min(4, _cores()), ge=1)
    model_cache_bytes: int = Field(default=GIB, ge=0)
    row_cache_bytes: int = Field(default=GIB, ge=0)
    catalog_poll_s: float = Field(default=0.25, gt=0)
    catalog_max_age_s: float = Field(default=300.0, gt=0)  # older copies answer 503
    lease_s: float = Field(default=30.0, gt=0)
    heartbeat_s: float = Field(default=5.0, gt=0)
    events_poll_s: float = Field(default=0.1, gt=0)

    source_folders: NamedFolders = Field(
        default_factory=dict
    )  # `exports=/data/exports,landing=/srv/landing`: where tables may be read from

    max_upload_bytes: int = Field(default=4 * GIB, ge=1)
    max_body_bytes: int = Field(default=16 * MIB, ge=1024)  # JSON bodies
    max_json_depth: int = Field(default=16, ge=4)
    min_free_disk_bytes: int = Field(default=256 * MIB, ge=0)  # never filled by uploads
    max_labels_per_request: int = Field(default=100_000, ge=1)
    max_labels_per_file: int = Field(
        default=1_000_000, ge=1
    )  # of a label file, which max_body_bytes bounds too
    max_rows_per_request: int = Field(default=10_000, ge=1)  # of one prediction request
    max_waiting_predictions: int = Field(default=64, ge=1)  # more are answered 503
    max_event_streams: int = Field(default=100, ge=1)  # open SSE streams of this process
    idempotency_ttl_s: float = Field(default=86_400.0, gt=0)
    job_retention_s: float = Field(default=90 * 86_400.0, gt=0)  # of finished jobs and their events

    @field_validator("allowed_hosts", "allowed_origins", "worker_kinds", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(item.strip().lower() for item in value.split(",") if item.strip())
        return value

    @field_validator("source_folders", mode="before")
    @classmethod
    def _named_folders(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        folders: dict[str, str] = {}
        for item in filter(None, (item.strip() for item in value.split(","))):
            word, equals, folder = item.partition("=")
            if not equals or word.strip() in folders:
                raise ValueError("source folders are written word=/folder, with commas, each word once")
            folders[word.strip()] = folder.strip()
        return folders

    @field_validator("source_folders")
    @classmethod
    def _absolute_folders(cls, value: dict[str, Path]) -> dict[str, Path]:
        for word, folder in value.items():
            if _FOLDER_WORD.fullmatch(word) is None or not folder.is_absolute():
                raise ValueError(
                    "a source folder has a word of a-z, 0-9, _ and -, and an absolute path (exports=/data/exports)"
                )
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("artifacts", mode="before")
    @classmethod
    def _without_files(cls, value: Any) -> Any:
        """The environment's `ARTIFACTS__…_FILE` variables, which `SecretFiles` has read, are no fields of a store."""
        if not isinstance(value, dict):
            return value
        read = {f"{name.partition('__')[2]}_file" for name in SECRETS}
        return {name: item for name, item in value.items() if name not in read}

    @field_validator("artifacts")
    @classmethod
    def _cache_in_the_home(cls, value: ArtifactStoreConfig, info: ValidationInfo) -> ArtifactStoreConfig:
        if isinstance(value, S3StoreConfig) and value.cache_dir is None and "home" in info.data:
            return value.model_copy(update={"cache_dir": info.data["home"] / "cache"})
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretFiles(settings_cls)

    @model_validator(mode="after")
    def _public_address_names_its_hosts(self) -> Settings:
        if not is_loopback(self.host) and not self.allowed_hosts:
            raise ValueError(
                f"host {self.host!r} can be reached from other machines: name the hosts it is reached by in "
                "ROOTSTOCK_ALLOWED_HOSTS (comma separated), or listen on 127.0.0.1"
            )
        return self

    @property
    def scratch_dir(self) -> Path:
        """Work folders of jobs; survives a retry, emptied when the job ends."""
        return self.home / "scratch"

    @property
    def uploads_dir(self) -> Path:
        """Files that are still being received."""
        return self.home / "uploads"

    @property
    def admin_key_file(self) -> Path:
        return self.home / "admin-key"


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
