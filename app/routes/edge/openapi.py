"""The OpenAPI document, and a page that lists it without fetching anything from elsewhere.

Request bodies are dependencies (see `strict_json`), which the framework does not document; they are added here
from the same models that check them.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.routes.edge.form_fields import READING_FIELDS
from app.routes.edge.label_bodies import FILE_TYPES, LABELS_JSON, receive_labels
from app.routes.edge.problems import ProblemBody
from app.routes.edge.strict_json import JSON_TYPE, JsonBody
from app.routes.edge.uploads import FILE_FIELD, FORM_TYPE, ReceiveUpload

REF_TEMPLATE = "#/components/schemas/{model}"
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1c2430}"
    "h2{margin-top:2rem;border-bottom:1px solid #d5dbe3}code{font:13px ui-monospace,monospace}"
    "td{padding:.2rem .8rem .2rem 0;vertical-align:top}.m{font-weight:600}"
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
DOCS_POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"


def build_openapi(app: FastAPI) -> dict[str, Any]:
    """The document of `app`, in a form that does not depend on the machine."""
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    bodies, uploads = dict(_json_bodies(app)), dict(_uploads(app))
    forms = {upload.model for upload in uploads.values()}
    from_folders = {upload.body.model for upload in uploads.values()}
    models: set[type[BaseModel]] = {
        ProblemBody,
        *forms,
        *from_folders,
        *(body.model for body in bodies.values()),
    }
    _, definitions = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template=REF_TEMPLATE,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    form_schemas = {model: definitions["$defs"].pop(model.__name__) for model in forms}
    for name, schema in definitions["$defs"].items():
        schemas.setdefault(name, schema)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for (path, method), body in bodies.items():
        document["paths"][path][method]["requestBody"] = {
            "required": not body.optional,
            "content": {JSON_TYPE: {"schema": {"$ref": REF_TEMPLATE.format(model=body.model.__name__)}}},
        }
        if body is LABELS_JSON:
            content = document["paths"][path][method]["requestBody"]["content"]
            content |= {media: {"schema": {"type": "string", "format": "binary"}} for media in FILE_TYPES}
    for (path, method), upload in uploads.items():
        document["paths"][path][method]["requestBody"] = {
            "required": True,
            "content": {
                FORM_TYPE: {"schema": _form_schema(form_schemas[upload.model])},
                JSON_TYPE: {"schema": {"$ref": REF_TEMPLATE.format(model=upload.body.model.__name__)}},
            },
        }
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def _form_schema(form: dict[str, Any]) -> dict[str, Any]:
    """Form fields are text; those with structure hold JSON."""
    properties = {
        name: {"type": "string", "description": schema.get("description", "JSON" if name != "name" else "")}
        for name, schema in form["properties"].items()
    }
    properties |= {
        name: {"type": "string", "description": "How to read the file; before the file in the form."}
        for name in sorted(READING_FIELDS)
    }
    properties[FILE_FIELD] = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    return {"type": "object", "required": [*form.get("required", ()), FILE_FIELD], "properties": properties}


def operations_of(app: FastAPI) -> Iterator[tuple[str, str, RouteContext]]:
    for route in iter_route_contexts(app.routes):
        if route.path_format is None or not getattr(route, "include_in_schema", False):
            continue
        for method in sorted(route.methods or ()):
            yield route.path_format, method.lower(), route


def calls_of(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for dependency in dependant.dependencies:
        yield from calls_of(dependency)


def _json_bodies(app: FastAPI) -> Iterator[tuple[tuple[str, str], JsonBody[Any]]]:
    for path, method, route in operations_of(app):
        for call in calls_of(route.dependant):
            if isinstance(call, JsonBody):
                yield (path, method), call
            elif call is receive_labels:
                yield (path, method), LABELS_JSON


def _uploads(app: FastAPI) -> Iterator[tuple[tuple[str, str], ReceiveUpload[Any]]]:
    for path, method, route in operations_of(app):
        for call in calls_of(route.dependant):
            if isinstance(call, ReceiveUpload):
                yield (path, method), call


def docs_page(document: dict[str, Any]) -> str:
    """All operations by tag, with their summaries; self-contained, no script."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            row = (
                f'<tr><td class="m"><code>{html.escape(method.upper())}</code></td>'
                f"<td><code>{html.escape(path)}</code></td>"
                f"<td>{html.escape(operation.get('description') or operation.get('summary', ''))}</td></tr>"
            )
            by_tag.setdefault((operation.get("tags") or ["other"])[0], []).append(row)
    sections = "".join(
        f"<h2>{html.escape(tag)}</h2><table>{''.join(rows)}</table>" for tag, rows in by_tag.items()
    )
    title = html.escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>{html.escape(document['info'].get('description', ''))}</p>"
        f'<p>Bodies, fields and problems: <a href="/openapi.json">/openapi.json</a>.</p>{sections}</body></html>'
    )
