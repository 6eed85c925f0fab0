/// Sound at its own rate -> a growing timeline: downmix, resampler, windows, model.
///
/// A value, and a new one for every song: nothing of one song reaches the next.
public struct Analyzer: Sendable {
  public let engine: any Engine
  public private(set) var timeline: Timeline
  private var resampler: Resampler
  private var windows: Windows

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
    try await judge(windows.push(resampler.push(downmix(channels))))
  }

  /// The end of the song.
  ///
  /// - Throws: `SentioError` if there was no sound in it.
  @discardableResult
  public mutating func finish() async throws -> [Segment] {
    let last = windows.push(resampler.finish())
    let segments = try await judge(last + windows.finish())
    timeline.durationS = Double(windows.total) / Double(engine.card.audio.sampleRate)
    if windows.total == 0 { throw SentioError("the file holds no sound; choose another one") }
    if timeline.segments.isEmpty { throw SentioError("the file is silent throughout; there is nothing to judge") }
    return segments
  }

  private mutating func judge(_ windows: [Window]) async throws -> [Segment] {
    var found: [Segment] = []
    for window in windows {
      let peak = try peak(of: window)
      let silent = peak < engine.card.windows.silencePeak
      let answer = silent ? nil : try await engine.run(window.samples)
      if let segment = timeline.add(window, answer) { found.append(segment) }
    }
    return found
  }
}

/// Floats above this are integers that were stored as floats, rather than sound in [-1, 1].
private let absurdPeak: Float = 16

/// Largest magnitude.  What is no number must not reach the model: some answer it as if it were sound.
private func peak(of window: Window) throws -> Double {
  var peak: Float = 0
  for sample in window.samples {
    guard sample.isFinite else {
      throw SentioError("the sound holds NaN or infinity near \(Texts.time(window.startS)); convert the file again")
    }
    peak = max(peak, abs(sample))
  }
  if peak > absurdPeak {
    throw SentioError("expected samples in [-1, 1], received \(peak) near \(Texts.time(window.startS)); scale the file")
  }
  return Double(peak)
}
