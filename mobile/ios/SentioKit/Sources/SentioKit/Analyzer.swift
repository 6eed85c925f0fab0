/// Sound at its own rate -> a growing timeline: downmix, resampler, windows, model.
///
/// A value, and a new one for every song: nothing of one song reaches the next.
public struct Analyzer: Sendable {
  public let engine: any Engine
  public private(set) var timeline: Timeline
  private var resampler: Resampler
  private var windows: Windows
  private var loudest: Float = 0  // in any channel

  /// - Parameter sampleRate: of the sound [Hz].
  /// - Throws: `SentioError` for a rate that is no whole number above 0.
  public init(engine: any Engine, sampleRate: Double) throws {
    let card = engine.card
    self.engine = engine
    timeline = Timeline(card: card)
    resampler = try Resampler(rateIn: sampleRate, rateOut: card.audio.sampleRate, kernel: card.kernel)
    windows = try Windows(
      size: card.audio.samples, hopS: card.windows.hopS, sampleRate: card.audio.sampleRate,
      minTailS: card.windows.minTailS)
  }

  /// Samples held now, of the sound and of the windows.
  public var held: Int { resampler.held + windows.held }

  /// The next samples of all channels; returns the segments that they complete.
  @discardableResult
  public mutating func push(_ channels: [[Float]]) async throws -> [Segment] {
    for channel in channels { loudest = max(loudest, try checked(channel)) }
    return try await judge(cut(resampler.push(downmix(channels))))
  }

  /// The end of the song.
  ///
  /// - Throws: `SentioError` if there was no sound in it.
  @discardableResult
  public mutating func finish() async throws -> [Segment] {
    let last = cut(resampler.finish())
    let segments = try await judge(last + windows.finish())
    timeline.durationS = heardS
    if windows.total == 0 { throw SentioError("the file holds no sound; choose another one") }
    if timeline.segments.isEmpty {
      throw SentioError(
        Double(loudest) < engine.card.windows.silencePeak
          ? "the file is silent throughout; there is nothing to judge"
          : "the channels cancel each other out in mono (one is inverted); invert it or take one channel")
    }
    return segments
  }

  private var heardS: Double { Double(windows.total) / Double(engine.card.audio.sampleRate) }

  /// Windows that the next samples complete, within the contract's range: filters and decoders overshoot.
  private mutating func cut(_ samples: [Float]) -> [Window] {
    windows.push(samples.map { min(1, max(-1, $0)) })
  }

  /// Peak of a channel.  What is no sound must not reach the model: some answer it as if it were.
  private func checked(_ channel: [Float]) throws -> Float {
    let near = Texts.time(heardS)
    guard let peak = peak(of: channel) else {
      throw SentioError("the sound holds NaN or infinity near \(near); convert the file again")
    }
    if peak > absurdPeak {
      throw SentioError("expected samples in [-1, 1], received \(peak) near \(near); scale the file")
    }
    return peak
  }

  private mutating func judge(_ windows: [Window]) async throws -> [Segment] {
    var found: [Segment] = []
    for window in windows {
      let silent = Double(peak(of: window.samples) ?? 0) < engine.card.windows.silencePeak
      let answer = silent ? nil : try await engine.run(window.samples)
      if let segment = timeline.add(window, answer) { found.append(segment) }
    }
    return found
  }
}

/// Floats above this are integers that were stored as floats, rather than sound in [-1, 1].
private let absurdPeak: Float = 16

/// Largest magnitude; nil if a sample is no number.
private func peak(of samples: [Float]) -> Float? {
  var peak: Float = 0
  for sample in samples {
    if !sample.isFinite { return nil }
    peak = max(peak, abs(sample))
  }
  return peak
}
