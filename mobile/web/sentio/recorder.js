import { SentioError } from "./errors.js";

/**
 * The microphone, without the telephone's processing: echo cancelling and automatic gain would change the music.
 *
 * `onBlock(samples)` gets mono blocks at `sampleRate`; `onEnd(reason)` is called once: "stopped" by `stop()`, or
 * "interrupted" when the system takes the microphone away.
 */
export class Recorder {
  /** @throws {SentioError} if there is no microphone, or its use is not allowed. */
  static async start(onBlock, onEnd) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new SentioError("this page may not ask for the microphone; open it over https or on localhost");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new SentioError(
        {
          NotAllowedError: "the microphone is not allowed; allow it in the browser's settings of this page, or choose a file",
          NotFoundError: "no microphone was found; plug one in, or choose a file",
          NotReadableError: "the microphone is in use by another program; close that, or choose a file",
        }[error.name] ?? `the microphone cannot be used (${error.name}); choose a file`,
      );
    }
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule(new URL("./recorder-worklet.js", import.meta.url));
      await context.resume();
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      await context.close();
      throw new SentioError(`this browser cannot record (${error.name}); choose a file`);
    }
    return new Recorder(context, stream, onBlock, onEnd);
  }

  constructor(context, stream, onBlock, onEnd) {
    this.context = context;
    this.stream = stream;
    this.sampleRate = context.sampleRate;
    this.onEnd = onEnd;
    this.tap = new AudioWorkletNode(context, "sentio-tap", { numberOfOutputs: 0 });
    this.tap.port.onmessage = ({ data }) => onBlock(data);
    context.createMediaStreamSource(stream).connect(this.tap);
    for (const track of stream.getTracks()) track.onended = () => this.end("interrupted");
    // A call on a phone; a context that was only suspended goes on by itself.
    context.onstatechange = () => context.state === "interrupted" && this.end("interrupted");
  }

  stop() {
    return this.end("stopped");
  }

  async end(reason) {
    const { onEnd } = this;
    if (!onEnd) return;
    this.onEnd = null;
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    this.context.onstatechange = null;
    this.tap.port.onmessage = null;
    await this.context.close().catch(() => {});
    onEnd(reason);
  }
}
