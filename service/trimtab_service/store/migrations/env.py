"""What alembic runs: the steps, inside the transaction that `store.schema.migrate` opened and locked."""

from alembic import context
from sqlalchemy import Connection

from trimtab_service.store.rows import METADATA

connection = context.config.attributes.get("connection")
if not isinstance(connection, Connection):
    raise TypeError("migrations run through trimtab_service.store.schema.migrate, which holds the lock")

context.configure(connection=connection, target_metadata=METADATA, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
