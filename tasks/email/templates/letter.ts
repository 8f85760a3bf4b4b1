/** An email as a list of parts, written as plain text and as HTML. The one place where values meet markup. */
import { html } from 'hono/html'

export interface Letter {
  heading: string
  parts: readonly Part[]
}

/** A paragraph; or a table of labels and values, such as an amount or a date. */
export type Part = string | { title: string; rows: readonly Row[] }

export type Row = readonly [label: string, value: string]

export interface Content {
  text: string
  html: string
}

export async function writeLetter(letter: Letter): Promise<Content> {
  return { text: asText(letter), html: await asHtml(letter) }
}

function asText({ heading, parts }: Letter): string {
  const paragraphs = parts.map((part) => {
    if (typeof part === 'string') return part
    return [part.title, ...part.rows.map(([label, value]) => `  ${label}: ${value}`)].join('\n')
  })
  return `${[heading, ...paragraphs].join('\n\n')}\n`
}

async function asHtml({ heading, parts }: Letter): Promise<string> {
  const page = await html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"></head>
<body style="margin:0 auto;max-width:36rem;padding:1.5rem;font:16px/1.5 sans-serif;color:#1a1a1a">
<h1 style="font-size:1.25rem">${heading}</h1>
${parts.map(partAsHtml)}
</body>
</html>
`
  return page.toString()
}

function partAsHtml(part: Part) {
  if (typeof part === 'string') return html`<p style="white-space:pre-line">${part}</p>`
  return html`<h2 style="font-size:1rem">${part.title}</h2>
<table style="border-collapse:collapse">
${part.rows.map(([label, value]) => html`<tr><td style="padding:0 1rem .25rem 0">${label}</td><td>${value}</td></tr>`)}
</table>`
}
