import { SentioError } from "./errors.js";
import { readMetadata } from "./metadata.js";

export const SCHEMA = "sentio/1";
export const ENTRY = "sentio.json";

/**
 * What a model says of itself: every number that the code here computes with.
 *
 * Fields are those of the JSON (`audio`, `windows`, `signature`, `resampler`, `uncertainty`, `domain`, ...).
 */
export class Card {
  constructor(values) {
    Object.assign(this, values);
  }

  /** The card inside a `.tflite`.  Throws SentioError for another file, or one without a usable card. */
  static of(file) {
    const entry = readMetadata(file, ENTRY);
    if (!entry) {
      throw new SentioError("expected a model with a card, received one without; export it with sentio-tf export");
    }
    return Card.parse(new TextDecoder().decode(entry));
  }

  /** A card from its JSON.  Throws SentioError for other text, another schema, or a value that cannot be used. */
  static parse(text) {
    let values;
    try {
      values = JSON.parse(text);
    } catch {
      throw new SentioError("expected a card in JSON, received text that does not parse; export the model again");
    }
    if (values?.schema !== SCHEMA) {
      throw new SentioError(
        `expected a model with a card of ${SCHEMA}, received ${values?.schema ?? "none"}; update this app, ` +
          "or export the model again with its version of sentio-tf",
      );
    }
    const card = new Card(values);
    const { audio, windows, signature } = card;
    const whole = (n) => Number.isInteger(n) && n > 0;
    const checks = {
      "audio.sample_rate": whole(audio?.sample_rate),
      "audio.samples": whole(audio?.samples),
      "windows.hop_s": windows?.hop_s > 0 && windows.hop_s <= audio?.samples / audio?.sample_rate,
      "windows.silence_peak": windows?.silence_peak >= 0,
      signature: [signature?.name, signature?.input, signature?.output].every((n) => typeof n === "string"),
    };
    const bad = Object.keys(checks).filter((name) => !checks[name]);
    if (bad.length) {
      throw new SentioError(`expected a usable card, received a wrong value of ${bad.join(", ")}; export the model again`);
    }
    return card;
  }

  /** The filter that the card states; models of before it was stated were made for the same one. */
  get kernel() {
    const { kind, taps, beta, cutoff } = this.resampler ?? {};
    return kind === "kaiser_sinc" ? { taps, beta, cutoff } : { taps: 257, beta: 7, cutoff: 0.956 };
  }
}
