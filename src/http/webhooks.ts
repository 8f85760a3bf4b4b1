/**
 * A delivery of a provider, from the request to the runs it triggers. Each step goes on, or throws the answer.
 *
 * Whose fault it is decides the answer. A delivery that proves nothing gets the status its provider expects. What only we
 * can mend gets a 5xx, which every provider takes for "send it again"; at a 4xx AssemblyAI gives up at once.
 */
import type { Logger } from 'pino'
import { InvalidTenantSlugError } from '../errors.ts'
import type { Platform } from '../platform.ts'
import type { TenantClients } from '../services/clients.ts'
import { isServiceName, loadService, type ServiceName } from '../services/registry.ts'
import type { Credentials, ServiceWebhook, WebhookDelivery, WebhookEvent } from '../services/service.ts'
import type { TenantDirectory } from '../tenants/directory.ts'
import type { Tenant } from '../tenants/tenant.ts'
import { problem, unavailable } from './problem.ts'
import { takeEvent } from './take-event.ts'

/** Providers look at the status alone; this is for the people who read their delivery logs. */
export interface WebhookReceipt {
  received: true
  /** It was taken before, and nothing was done this time. */
  duplicate?: true
}

/** @throws HTTPException with the answer. */
export async function receiveWebhook(
  platform: Platform,
  tenantId: string,
  serviceName: string,
  delivery: WebhookDelivery,
): Promise<WebhookReceipt> {
  const { clients, directory } = await platform.ready()
  const tenant = await findTenant(directory, tenantId)
  const { service, webhook } = await findWebhook(serviceName)
  const logger = platform.logger.child({ tenant: tenant.slug, service })
  const credentials = await findSecrets(clients, tenant, service, webhook, logger)
  const event = await open(webhook, delivery, credentials, tenant, logger)
  refuseWhileSuspended(tenant)
  const runIds = await takeEvent(platform, { tenantId: tenant.slug, service, event, logger })
  logger.info({ event: event.id, type: event.type, runs: runIds ?? 'taken before' }, 'Webhook received')
  return runIds ? { received: true } : { received: true, duplicate: true }
}

/** Malformed or unknown, it is the same to whoever guesses. */
async function findTenant(directory: TenantDirectory, tenantId: string): Promise<Tenant> {
  try {
    const tenant = await directory.find(tenantId)
    if (tenant) return tenant
  } catch (error) {
    if (!(error instanceof InvalidTenantSlugError)) throw error
  }
  throw problem({ status: 404, code: 'TENANT_UNKNOWN', detail: 'There is no such tenant.' })
}

async function findWebhook(name: string): Promise<{ service: ServiceName; webhook: ServiceWebhook }> {
  const webhook = isServiceName(name) ? (await loadService(name)).webhook : undefined
  if (webhook) return { service: name as ServiceName, webhook }
  throw problem({ status: 404, code: 'WEBHOOK_UNKNOWN', detail: 'There is no webhook of such a service.' })
}

/** Without its secret a delivery may be anybody's, and is answered like a forged one. */
async function findSecrets(
  clients: TenantClients,
  { slug }: Tenant,
  service: ServiceName,
  webhook: ServiceWebhook,
  logger: Logger,
): Promise<Credentials> {
  const credentials = await clients.credentials(slug, service)
  const missing = webhook.needs.find((key) => !credentials[key])
  if (missing === undefined) return credentials
  logger.warn(`Webhook refused: it cannot be checked. Run: cgk credential:set ${slug} ${service} ${missing}`)
  throw refused(webhook)
}

async function open(
  webhook: ServiceWebhook,
  delivery: WebhookDelivery,
  credentials: Credentials,
  { slug }: Tenant,
  logger: Logger,
): Promise<WebhookEvent> {
  const event = await webhook.open(delivery, credentials, slug)
  if (event && isStorable(event.id) && isStorable(event.type)) return event
  logger.warn('Webhook refused: its signature is wrong, or too old')
  throw refused(webhook)
}

/** Providers' ids and types are short. Longer ones would not fit into the index that tells repeated events. */
function isStorable(text: string): boolean {
  return text !== '' && text.length <= 255 && !text.includes('\0') && text.isWellFormed()
}

function refused({ refusedStatus }: ServiceWebhook) {
  const detail = 'The signature or secret of this delivery is missing, wrong or too old.'
  return problem({ status: refusedStatus, code: 'SIGNATURE_INVALID', detail })
}

/** Only to a provider, who has proved to be one, and who sends the event again until the tenant has been resumed. */
function refuseWhileSuspended({ status }: Tenant): void {
  if (status !== 'suspended') return
  throw unavailable('TENANT_SUSPENDED', 'Nothing is taken for this tenant now.', { retryAfterSeconds: 3_600 })
}
