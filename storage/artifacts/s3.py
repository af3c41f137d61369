"""Where an S3-compatible artifact store is and how it is spoken to; the store itself is in `s3_store`."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    SerializationInfo,
    StringConstraints,
    field_serializer,
    field_validator,
    model_validator,
)

from storage.artifacts.read_cache import ReadCache
from storage.errors import StorageError

if TYPE_CHECKING:
    from obstore.store import S3Store as Bucket

    from storage.artifacts.s3_store import S3Store

REVEAL_SECRETS = "reveal_secrets"
"""Key of a serialisation context: only what goes to a process of ours over a private pipe carries the secrets."""

GIB = 1 << 30


class S3StoreConfig(BaseModel):
    """Objects under `<prefix>/<workspace id>/` of one bucket, which must exist.

    Without `access_key_id` the credentials are those of the process's surroundings: `AWS_*` variables, or the role
    of the container or machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    kind: Literal["s3"] = "s3"
    bucket: Annotated[str, StringConstraints(pattern=r"\A[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\z")]
    prefix: Annotated[
        str, StringConstraints(pattern=r"\A([A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?\z")
    ] = ""
    region: Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9-]{1,64}\z")] = "us-east-1"
    endpoint: str | None = None  # https://host[:port]; by default AWS's of the region
    allow_http: bool = False  # an endpoint without TLS: only inside a network of one's own
    virtual_hosted: bool = False  # bucket.host/key instead of host/bucket/key
    access_key_id: SecretStr | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    cache_dir: Path | None = None  # of files read; by default a folder that ends with the store
    cache_bytes: int = Field(default=10 * GIB, ge=0)
    max_retries: int = Field(default=6, ge=0, le=50)
    retry_timeout_s: float = Field(default=20.0, gt=0, le=240)  # from a request's start to its last retry
    stall_timeout_s: float = Field(default=60.0, gt=0)  # without a byte from the other side

    @field_validator("endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        scheme, _, rest = value.partition("://")
        if (
            scheme not in ("http", "https")
            or not rest.strip("/")
            or "@" in rest
            or "?" in rest
            or "#" in rest
        ):
            raise ValueError("an endpoint is https://host or https://host:port, without a user or a query")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _fits_together(self) -> S3StoreConfig:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key are given together, or neither")
        if self.endpoint is not None and self.endpoint.startswith("http://") and not self.allow_http:
            raise ValueError(
                "the endpoint has no TLS: objects and signatures could be read on the way; use https://, or set "
                "allow_http where the network is your own"
            )
        return self

    @field_serializer("access_key_id", "secret_access_key", "session_token")
    def _hidden(self, value: SecretStr | None, info: SerializationInfo) -> str | None:
        if value is None:
            return None
        is_revealed = isinstance(info.context, dict) and info.context.get(REVEAL_SECRETS) is True
        return value.get_secret_value() if is_revealed else str(value)

    def build(self) -> S3Store:
        """Raises StorageError (driver_missing)."""
        try:
            from storage.artifacts.s3_store import S3Store
        except ImportError:
            raise StorageError(
                "The S3 artifact store needs its driver: pip install 'rootstock[s3]'.", code="driver_missing"
            ) from None
        return S3Store(_bucket(self), self.prefix, ReadCache(self.cache_dir, self.cache_bytes))


def _bucket(config: S3StoreConfig) -> Bucket:
    credentials: dict[str, str] = {}
    if config.access_key_id is not None and config.secret_access_key is not None:
        credentials["access_key_id"] = config.access_key_id.get_secret_value()
        credentials["secret_access_key"] = config.secret_access_key.get_secret_value()
        if config.session_token is not None:
            credentials["session_token"] = config.session_token.get_secret_value()
    if config.endpoint is not None:
        credentials["endpoint"] = config.endpoint
    from obstore.store import S3Store as Bucket  # an optional dependency

    return Bucket(
        config.bucket,
        region=config.region,
        virtual_hosted_style_request=config.virtual_hosted,
        client_options={
            "allow_http": config.allow_http,
            "connect_timeout": timedelta(seconds=5),
            "read_timeout": timedelta(seconds=config.stall_timeout_s),
            "timeout": timedelta(hours=6),  # of a whole request, which may be a large download
        },
        retry_config={
            "max_retries": config.max_retries,
            "retry_timeout": timedelta(seconds=config.retry_timeout_s),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=5),
                "base": 2,
            },
        },
        **credentials,  # type: ignore[arg-type]
    )
