"""`rootstock keys`: API keys, through the service or (for the operator) directly in the database."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

import typer

from app.commands.column_words import split_names
from app.commands.console import say, show_table
from app.commands.session import Session, load_settings, session_of
from rootstock_client.errors import InvalidArgumentError

ALL_SCOPES = "tables:read,tables:write,finetune,predict,promote"

keys = typer.Typer(no_args_is_help=True, help="List, create and revoke API keys.")


@keys.command("list")
def list_keys(ctx: typer.Context) -> None:
    """Keys of the workspace by their public part."""
    session = session_of(ctx)
    with session.client() as client:
        found = client.keys()
    if not session.show(found):
        names = ("id", "name", "status", "scopes", "created_at", "expires_at")
        show_table(
            ["id", "name", "status", "scopes", "created", "expires"],
            [[k.get(n) for n in names] for k in found],
        )


@keys.command("create")
def create_key(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the key is for: a-z, 0-9, _ and -.")],
    scopes: Annotated[
        str, typer.Option(help="With commas: tables:read tables:write finetune predict promote admin.")
    ] = ALL_SCOPES,
    days: Annotated[float | None, typer.Option(min=0, help="Until it expires; default never.")] = None,
    workspace: Annotated[
        str | None, typer.Option(help="With --offline: workspace of the key, made where it does not exist.")
    ] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline", help="Act on the database of $ROOTSTOCK_HOME, for its operator; needs no key."
        ),
    ] = False,
) -> None:
    """Make a key; it is shown once, on stdout."""
    session = session_of(ctx)
    wanted = split_names(scopes)
    lifetime = None if days is None else timedelta(days=days)
    if offline:
        made = _create_offline(name, wanted, lifetime, workspace or "default")
    elif workspace is not None:
        raise typer.BadParameter(
            "--workspace goes with --offline: a key of the service makes keys of its own workspace"
        )
    else:
        with session.client() as client:
            made = client.create_key(name, wanted, expires_at=lifetime)
    _show_made(session, made)


@keys.command("revoke")
def revoke_key(ctx: typer.Context, key_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Revoke a key; holds within a second."""
    with session_of(ctx).client() as client:
        client.revoke_key(key_id)
    say(f"revoked {key_id}")


def _show_made(session: Session, made: dict[str, Any]) -> None:
    if session.show(made):
        return
    say(f"key {made['id']} ({made['name']}): {', '.join(made['scopes'])}; it is shown only now:")
    typer.echo(made["key"])


def _create_offline(
    name: str, scopes: tuple[str, ...], lifetime: timedelta | None, workspace: str
) -> dict[str, Any]:
    """Make a key without a service; whoever may write the database may do this."""
    from pydantic import ValidationError

    from app.schemas.base import NAME_PATTERN
    from app.schemas.keys import KeyRequest
    from app.services.api_keys import mint_key
    from app.wiring import build_container

    try:
        request = KeyRequest.model_validate({"name": name, "scopes": list(scopes)})
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InvalidArgumentError(faults) from None
    if re.fullmatch(NAME_PATTERN, workspace) is None:
        raise InvalidArgumentError(f"a workspace name is of the form {NAME_PATTERN}", code="invalid_name")
    container = build_container(load_settings(), with_serving=False)
    try:
        with container.database.writing() as uow:
            expires_at = None if lifetime is None else uow.now() + lifetime.total_seconds()
            row = uow.workspaces.get_or_create(workspace)
            made, text = mint_key(uow, row.id, request.name, list(request.scopes), expires_at)
            uow.audit.add(
                row.id, None, "key.create", made.id, {"scopes": list(request.scopes), "offline": True}
            )
            return {
                "id": made.id,
                "name": made.name,
                "workspace": workspace,
                "scopes": made.scopes,
                "key": text,
            }
    finally:
        container.close()
