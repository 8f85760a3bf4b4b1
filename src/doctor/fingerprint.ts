/**
 * What a schema is made of, read from the catalogs: tables, columns, constraints, indexes, triggers, functions, types. The
 * schema's own name is taken out, so what two tenants have can be compared.
 */
import type { Asker } from '../credentials/rows.ts'

export interface CatalogObject {
  /** `column orders.status`, `index orders_status_idx` */
  object: string
  definition: string
}

/** $1: names of schemas. Joined by oid: `information_schema` slows down with every tenant. */
const objects = `
  schema AS (SELECT oid, nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY ($1::text[])),
  relation AS (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, s.nspname
    FROM pg_catalog.pg_class c JOIN schema s ON s.oid = c.relnamespace
  ),
  object AS (
    SELECT nspname,
      CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END || ' ' || relname AS object,
      concat_ws(' ', relkind::text, relrowsecurity::text,
        CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END) AS definition
    FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
    UNION ALL
    SELECT nspname, 'column ' || relname || '.' || attname,
      concat_ws(' ', format_type(atttypid, atttypmod), attnotnull::text, attidentity::text, attgenerated::text, pg_get_expr(adbin, adrelid))
    FROM relation JOIN pg_catalog.pg_attribute a ON a.attrelid = relation.oid AND attnum > 0 AND NOT attisdropped
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE relkind IN ('r', 'p', 'v', 'm')
    UNION ALL
    -- Since Postgres 18 NOT NULL is one of them, and the column says so already.
    SELECT nspname, 'constraint ' || relname || '.' || conname, pg_get_constraintdef(k.oid)
    FROM relation JOIN pg_catalog.pg_constraint k ON k.conrelid = relation.oid AND k.contype <> 'n'
    UNION ALL
    SELECT nspname, 'index ' || relname, pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid::text
    FROM relation JOIN pg_catalog.pg_index i ON i.indexrelid = relation.oid
    UNION ALL
    SELECT nspname, 'trigger ' || relname || '.' || tgname, pg_get_triggerdef(t.oid) || ' ' || tgenabled::text
    FROM relation JOIN pg_catalog.pg_trigger t ON t.tgrelid = relation.oid AND NOT tgisinternal
    UNION ALL
    SELECT nspname, 'function ' || p.oid::regprocedure, pg_get_functiondef(p.oid)
    FROM schema JOIN pg_catalog.pg_proc p ON p.pronamespace = schema.oid AND p.prokind IN ('f', 'p')
    UNION ALL
    SELECT nspname, 'type ' || typname, string_agg(enumlabel, ', ' ORDER BY enumsortorder)
    FROM schema JOIN pg_catalog.pg_type y ON y.typnamespace = schema.oid
    JOIN pg_catalog.pg_enum e ON e.enumtypid = y.oid GROUP BY nspname, typname
  ),
  plain AS (
    SELECT nspname, replace(object, quote_ident(nspname) || '.', '') AS object,
      replace(definition, quote_ident(nspname) || '.', '') AS definition
    FROM object
  )`

/** One hash for each schema, by its name; a schema that is empty has none. */
export async function readFingerprints(
  asker: Asker,
  schemas: readonly string[],
): Promise<Map<string, string>> {
  const { rows } = await asker.query<{ schema: string; hash: string }>(
    `WITH ${objects}
     SELECT nspname AS schema,
       md5(string_agg(object || E'\\n' || definition, E'\\n' ORDER BY object COLLATE "C", definition COLLATE "C")) AS hash
     FROM plain GROUP BY nspname`,
    [schemas],
  )
  return new Map(rows.map(({ schema, hash }) => [schema, hash]))
}

export async function readObjects(asker: Asker, schema: string): Promise<CatalogObject[]> {
  const { rows } = await asker.query<CatalogObject>(
    `WITH ${objects} SELECT object, definition FROM plain ORDER BY object COLLATE "C", definition COLLATE "C"`,
    [[schema]],
  )
  return rows
}
