/** A paragraph about the figures of a day, written by Claude where the tenant has an account there. */
import { getTenantAnthropicClient } from '@cgk-platform/jobs'
import type { DailyFigures } from '../email/templates/admin-daily-digest.ts'

const model = 'claude-haiku-4-5'
const longest = 1_000

const instructions =
  'You write the first paragraph of a shop owner’s morning email: two to four plain sentences that say what stands out ' +
  'in the figures and what needs attention. Amounts are cents, as text, and are written as money. Say nothing that the ' +
  'figures do not say, and do not list them all: they follow below. No greeting, no heading, no markup.'

/** Null: the tenant has no account at Anthropic. Throws what the client throws. */
export async function writeParagraph(tenantId: string, figures: DailyFigures): Promise<string | null> {
  const anthropic = await getTenantAnthropicClient(tenantId)
  if (!anthropic) return null
  // Numbers alone: nothing that a customer or a creator could have written reaches the model.
  const message = await anthropic.messages.create({
    model,
    max_tokens: 500,
    system: instructions,
    messages: [{ role: 'user', content: JSON.stringify(figures) }],
  })
  const written = message.content.flatMap((block) => (block.type === 'text' ? [block.text] : [])).join('')
  const paragraph = written.replaceAll('\0', '').replace(/\s+/g, ' ').trim().toWellFormed()
  if (message.stop_reason !== 'end_turn' || paragraph === '' || paragraph.length > longest) {
    throw new Error(
      `Claude's paragraph cannot be used (${message.stop_reason}, ${paragraph.length} characters).`,
    )
  }
  return paragraph
}
