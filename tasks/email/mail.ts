/** The mail of an entry, ready for Resend. It is kept in the row as it is here, and sent from there. */
import type { Content } from './templates/letter.ts'

export interface Mail {
  from: string
  to: string
  subject: string
  text: string
  html: string
  /** Resend's webhook has them in its events. */
  tags: { name: string; value: string }[]
}

/** By which email/record-delivery finds the entry of an email whose id never reached us. */
export const entryTag = 'entry_id'

interface Entry {
  id: string
  recipient: string
  subject: string
}

export function mailOf({ id, recipient, subject }: Entry, { text, html }: Content, from: string): Mail {
  // Resend refuses a subject of several lines, and a tag of other characters.
  const tags = /^[\w-]{1,256}$/.test(id) ? [{ name: entryTag, value: id }] : []
  return { from, to: recipient, subject: subject.replace(/\s+/g, ' ').trim(), text, html, tags }
}
