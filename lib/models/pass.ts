// A forward pass kept for one backward: objectives in TypeScript compute a gradient from its log-probabilities.
import type { NativePass } from '../native/binding.js'

export class Pass {
  /** [tokens], rows end to end: log p(label at t | row before t); 0 where there is no label and at a row's first token. */
  readonly logprobs: Float32Array
  /** [rows + 1]: row r holds tokens cuSeqlens[r] … cuSeqlens[r + 1] - 1. */
  readonly cuSeqlens: Int32Array
  /** [tokens]: what was predicted; -100 where nothing is. */
  readonly labels: Int32Array
  readonly #native: NativePass

  constructor(native: NativePass, cuSeqlens: Int32Array, labels: Int32Array) {
    this.#native = native
    this.logprobs = native.logprobs
    this.cuSeqlens = cuSeqlens
    this.labels = labels
  }

  /**
   * grad: d loss / d logprobs, [tokens]. Once. Gradients add up in the trainable parameters until optimizer.apply().
   * Errors: FT_INVALID_ARGUMENT (length), FT_HANDLE_MISUSE (second call), FT_HANDLE_DISPOSED.
   */
  async backward(grad: Float32Array | readonly number[]): Promise<void> {
    await this.#native.backward(grad instanceof Float32Array ? grad : Float32Array.from(grad))
  }

  /** Frees what was kept; another Pass of the model can begin. Idempotent. */
  dispose(): void {
    this.#native.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}
