/** Hands on what the microphone hears, in blocks: a message every 128 samples would be many. */
class Tap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.block = new Float32Array(4096);
    this.filled = 0;
  }

  process([channels]) {
    if (!channels?.length) return true;
    for (let i = 0; i < channels[0].length; i++) {
      let total = 0;
      for (const channel of channels) total += channel[i];
      this.block[this.filled++] = total / channels.length;
      if (this.filled === this.block.length) {
        this.port.postMessage(this.block.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("sentio-tap", Tap);
