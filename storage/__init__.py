"""What the service remembers: rows in SQLite or PostgreSQL, and artifacts in a store. No torch, no HTTP.

    sweep             removes stored objects that nothing refers to
    engine            Database: reading() and writing() units of work; the check of the schema's revision
    migrate           runs the package `migrations` (Alembic); one history for both databases
    unit_of_work      one transaction and all repositories; writes events and the catalog's revision last
    repositories/     all SQL: one class for each kind of row; the job queue; the catalog for predictions
    connection        SQLAlchemy engines and what is set on every connection
    translation       driver errors to the tree of `errors`
    clock             the database's clock, the only one for stored times
    orm/              the tables as classes
    artifacts/        stores by kind (content-addressed, create-only) and bundles with their manifest
    ids, errors       names of rows; the error tree

Each imports only from below it (held by import-linter). Typical use:

    migrate.upgrade(url)
    database = Database.open(url)
    with database.writing() as uow:
        workspace = uow.workspaces.get_or_create("default")

A unit of work is one transaction: it commits at its end, or leaves nothing behind. Rows read in it stay usable
after it. Changes that the prediction path sees are counted by the repositories themselves (`catalog.revision`).
Objects go into a store before the transaction that refers to them, and leave it by `sweep.sweep` only.
"""
