/** What the roles of tenants may do: everything with the rows of their own schema, and nothing else at all. */
import type { Database } from '../db/database.ts'
import { readServer, settablePrivilege } from '../db/roles.ts'
import type { Check, Subject } from './check.ts'
import { count, orOk, problem, type Said, some } from './finding.ts'

/** The platform's own tables in public. An app may share others of its own with its tenants. */
const ownTables = `(relname LIKE 'platform\\_%' OR relname IN ('organizations', 'users', 'user_organizations', 'sessions',
  'api_keys', 'team_invitations', 'feature_flags'))`

/** $1: the database's oid in base 36, the end of each role's name. */
const roles = `
  role AS (
    SELECT o.slug, r.oid, r.rolname, n.oid AS schema
    FROM public.organizations o
    JOIN pg_catalog.pg_roles r ON r.rolname = 'tenant_' || o.slug || '_' || $1::text
    JOIN pg_catalog.pg_namespace n ON n.nspname = 'tenant_' || o.slug
  )`

interface Right {
  /** Null: everybody. */
  slug: string | null
  /** `SELECT on public.users` */
  may: string
}

/** Of every grant in the database those to a tenant's role, and of those to everybody the ones on what is ours. */
const excessSql = `
  WITH ${roles},
  granted AS (
    SELECT acl.grantee, c.relnamespace AS schema, c.relname, c.relkind, acl.privilege_type
    FROM pg_catalog.pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) acl
    UNION ALL
    SELECT acl.grantee, c.relnamespace, c.relname, c.relkind, acl.privilege_type || ' of a column'
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    CROSS JOIN LATERAL aclexplode(a.attacl) acl
  ),
  named AS (
    SELECT granted.*, n.nspname, granted.privilege_type || ' on ' || n.nspname || '.' || relname AS may
    FROM granted JOIN pg_catalog.pg_namespace n ON n.oid = granted.schema
  )
  SELECT role.slug, named.may FROM named JOIN role ON role.oid = named.grantee
  WHERE (named.schema = role.schema AND named.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE'))
     OR (named.schema <> role.schema AND (named.nspname <> 'public' OR ${ownTables}))
  UNION ALL
  SELECT NULL, may FROM named
  WHERE grantee = 0 AND ((nspname = 'public' AND ${ownTables}) OR nspname = 'pgboss' OR nspname LIKE 'tenant\\_%')
  UNION ALL
  SELECT role.slug, acl.privilege_type || ' on the schema ' || n.nspname
  FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) acl JOIN role ON role.oid = acl.grantee
  WHERE NOT (n.oid = role.schema AND acl.privilege_type = 'USAGE') AND NOT (n.nspname = 'public' AND acl.privilege_type = 'USAGE')
  UNION ALL
  SELECT role.slug, 'everything that ' || granting.rolname || ' may'
  FROM pg_catalog.pg_auth_members m JOIN role ON role.oid = m.member
  JOIN pg_catalog.pg_roles granting ON granting.oid = m.roleid
  UNION ALL
  SELECT role.slug, 'everything with its own ' || c.relname FROM pg_catalog.pg_class c JOIN role ON role.oid = c.relowner
  UNION ALL
  SELECT role.slug, what.may FROM role JOIN pg_catalog.pg_roles r ON r.oid = role.oid
  CROSS JOIN LATERAL (VALUES
    (r.rolsuper, 'everything, as a superuser'), (r.rolcanlogin, 'log in'), (r.rolcreaterole, 'create roles'),
    (r.rolcreatedb, 'create databases'), (r.rolreplication, 'replicate'), (r.rolbypassrls, 'bypass row security')
  ) AS what (has, may)
  WHERE what.has
  ORDER BY 1, 2`

/** Whose role lacks a right on a table of its own, or cannot be become. */
const lackSql = (privilege: string) => `
  WITH ${roles}
  SELECT role.slug, pg_has_role(current_user, role.oid, '${privilege}') AS settable,
    coalesce((
      SELECT json_agg(c.relname ORDER BY c.relname) FROM pg_catalog.pg_class c
      WHERE c.relnamespace = role.schema AND c.relkind IN ('r', 'p') AND NOT (
        has_table_privilege(role.oid, c.oid, 'SELECT') AND has_table_privilege(role.oid, c.oid, 'INSERT')
        AND has_table_privilege(role.oid, c.oid, 'UPDATE') AND has_table_privilege(role.oid, c.oid, 'DELETE'))
    ), '[]') AS tables
  FROM role ORDER BY role.slug`

export const tenantRoles: Check = {
  name: 'tenant roles',
  async look({ database }: Subject) {
    const server = await readServer(database)
    const suffix = server.databaseOid.toString(36)
    const [excess, lacks] = await Promise.all([
      database.query<Right>(excessSql, [suffix]),
      database.query<Lack>(lackSql(settablePrivilege(server)), [suffix]),
    ])
    return orOk(
      [...tooMuch(excess.rows), ...tooLittle(lacks.rows, await loginOf(database))],
      `The roles of ${count(lacks.rows.length, 'tenant')} may use their own tables and nothing else.`,
    )
  },
}

interface Lack {
  slug: string
  settable: boolean
  tables: string[]
}

function tooMuch(rights: readonly Right[]): Said[] {
  if (rights.length === 0) return []
  const listed = rights.map(({ slug, may }) => `${slug ?? 'everybody'}: ${may}`)
  return [
    problem(
      `Roles of tenants may do what they must not: ${some(listed)}.`,
      'REVOKE these rights; a tenant gets its own rows and nothing else.',
    ),
  ]
}

function tooLittle(lacks: readonly Lack[], login: string): (Said | false)[] {
  const unreachable = lacks.filter(({ settable }) => !settable).map(({ slug }) => slug)
  const tables = lacks.flatMap((lack) => lack.tables.map((table) => `tenant_${lack.slug}.${table}`))
  return [
    unreachable.length > 0 &&
      problem(
        `The login ${login} may not become the role of ${some(unreachable)}, so their runs fail.`,
        'Run: cgk migrate. A role that another login made must be granted to this one WITH ADMIN OPTION first.',
      ),
    tables.length > 0 &&
      problem(
        `Tenants lack rights on tables of their own: ${some(tables)}.`,
        'Grant SELECT, INSERT, UPDATE and DELETE on them to the role of the tenant.',
      ),
  ]
}

async function loginOf(database: Database): Promise<string> {
  return (await database.query<{ login: string }>('SELECT current_user AS login')).rows[0]!.login
}
