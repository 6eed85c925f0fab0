import { Card } from "./card.js";
import { SentioError } from "./errors.js";

/**
 * A model on LiteRT.js, in the browser's WebAssembly.
 *
 * One engine judges any number of songs, one window at a time.  `delete()` frees what JavaScript's collector cannot.
 */
export class Engine {
  /** Use `Engine.load`. */
  constructor(card, litert, compiled, threads) {
    this.card = card;
    this.litert = litert;
    this.compiled = compiled;
    this.threads = threads;
  }

  /**
   * @param {ArrayBuffer} file a `.tflite` of sentio-tf export.
   * @param {object} litert the module `@litertjs/core`.
   * @param {{wasm: string, threads?: number}} where folder of its WebAssembly, and how many threads may be used: more than
   *   one needs a page that is cross-origin isolated.
   * @throws {SentioError} for a file that is no usable model, or a browser without what LiteRT needs.
   */
  static async load(file, litert, { wasm, threads = 1 }) {
    const card = Card.of(file);
    if (typeof importScripts === "function") {
      // In a worker Emscripten takes the worker's own address for its script's.
      const script = `${wasm}litert_wasm_threaded_internal.js`;
      self.Module = { locateFile: (name) => wasm + name, mainScriptUrlOrBlob: script };
    }
    try {
      await litert.loadLiteRt(wasm, { threads: threads > 1 });
    } catch (error) {
      throw new SentioError(`LiteRT does not start in this browser (${said(error)}); update the browser`);
    }
    let compiled;
    try {
      compiled = await litert.loadAndCompile(new Uint8Array(file), {
        accelerator: "wasm",
        cpuOptions: { numThreads: threads },
      });
    } catch (error) {
      throw new SentioError(`the model does not load (${said(error)}); export it again, or update this page`);
    }
    const { signature, audio } = card;
    const runner = compiled.signatures[signature.name];
    const input = runner?.getInputDetails().find((tensor) => tensor.name === signature.input);
    const output = runner?.getOutputDetails().find((tensor) => tensor.name === signature.output);
    const fits = input && [...input.shape].join() === `1,${audio.samples}` && output && size(output.shape) === 2;
    if (!fits) {
      const received = runner
        ? `${runner.getInputDetails().map((t) => `${t.name} [${[...t.shape]}]`)} -> ${runner.getOutputDetails().map((t) => t.name)}`
        : `signatures ${Object.keys(compiled.signatures).join(", ") || "none"}`;
      compiled.delete();
      throw new SentioError(
        `expected ${signature.name}(${signature.input} [1,${audio.samples}]) -> ${signature.output}, received ${received}; ` +
          "export the model again",
      );
    }
    return new Engine(card, litert, compiled, threads);
  }

  /**
   * One window.
   *
   * @param {Float32Array} samples `(card.audio.samples,)`, mono, in [-1, 1].
   * @returns {Promise<{valence: number, arousal: number, std: number[] | null, distance: number | null}>}
   * @throws {SentioError} if the model answers something that is no number.
   */
  async run(samples) {
    const { signature } = this.card;
    const input = new this.litert.Tensor(samples, [1, samples.length]);
    let outputs;
    try {
      outputs = await this.compiled.run(signature.name, { [signature.input]: input });
      const values = async (name) => (name && outputs[name] ? [...(await outputs[name].data())] : null);
      const [answer, std, distance] = [
        await values(signature.output),
        await values(signature.deviation),
        await values(signature.distance),
      ];
      if (![...answer, ...(std ?? []), ...(distance ?? [])].every(Number.isFinite)) {
        throw new SentioError("the model answered something that is no number; export it again");
      }
      return { valence: answer[0], arousal: answer[1], std, distance: distance?.[0] ?? null };
    } finally {
      input.delete();
      for (const tensor of Object.values(outputs ?? {})) tensor.delete();
    }
  }

  delete() {
    this.compiled.delete();
  }
}

const size = (shape) => [...shape].reduce((a, b) => a * b, 1);
const said = (error) => String(error?.message ?? error).split("\n")[0].slice(0, 200);
