/** A value that no dump shows: printed, logged or turned into JSON, it says only that it is there. */
import { inspect } from 'node:util'

const shown = '[secret]'

export class Secret<Value> {
  readonly #value: Value

  constructor(value: Value) {
    this.#value = value
  }

  reveal(): Value {
    return this.#value
  }

  toString(): string {
    return shown
  }

  toJSON(): string {
    return shown
  }

  [inspect.custom](): string {
    return shown
  }
}
