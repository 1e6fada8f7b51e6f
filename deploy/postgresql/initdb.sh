#!/bin/sh
# Two databases, three roles; run once by the PostgreSQL image on an empty data folder (/docker-entrypoint-initdb.d), or by
# hand as a superuser: POSTGRES_USER=postgres PREFECT_PASSWORD=... AUDIT_OWNER_PASSWORD=... AUDIT_PASSWORD=... sh initdb.sh
#
#   prefect      owns the database prefect: what the Prefect server knows
#   audit_owner  owns the database audit and its tables; only `cybersec-mlops audit migrate` uses it
#   audit        what a run uses: reads and appends, and cannot change or delete an audit row
set -eu
export PREFECT_PASSWORD AUDIT_OWNER_PASSWORD AUDIT_PASSWORD # no password on a command line, where `ps` shows it
psql --no-psqlrc --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv prefect_password PREFECT_PASSWORD
\getenv audit_owner_password AUDIT_OWNER_PASSWORD
\getenv audit_password AUDIT_PASSWORD
CREATE ROLE prefect LOGIN PASSWORD :'prefect_password';
CREATE ROLE audit_owner LOGIN PASSWORD :'audit_owner_password';
CREATE ROLE audit LOGIN PASSWORD :'audit_password';
CREATE DATABASE prefect OWNER prefect;
CREATE DATABASE audit OWNER audit_owner;
REVOKE CONNECT ON DATABASE prefect, audit FROM PUBLIC;
GRANT CONNECT ON DATABASE audit TO audit;
\connect audit
ALTER SCHEMA public OWNER TO audit_owner;
-- The table catalogue (Iceberg) makes its own tables, and they are its own.
GRANT USAGE, CREATE ON SCHEMA public TO audit;
ALTER DEFAULT PRIVILEGES FOR ROLE audit_owner IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO audit;
ALTER DEFAULT PRIVILEGES FOR ROLE audit_owner IN SCHEMA public GRANT USAGE ON SEQUENCES TO audit;
SQL
