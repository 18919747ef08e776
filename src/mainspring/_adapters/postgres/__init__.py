"""The database port on PostgreSQL (the extra ``postgres``)."""
