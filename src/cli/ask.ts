/** Questions at a terminal. They go to stderr, for stdout belongs to results. */

export async function ask(question: string): Promise<string> {
  const { default: input } = await import('@inquirer/input')
  const answer = await input({ message: question, required: true }, { output: process.stderr })
  return answer.trim()
}
