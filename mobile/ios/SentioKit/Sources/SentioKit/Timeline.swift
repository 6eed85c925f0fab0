import Foundation

/// A window and its answer.
public struct Segment: Equatable, Sendable {
  public let startS: Double
  public let endS: Double
  public let answer: Answer

  public var valence: Double { answer.valence }
  public var arousal: Double { answer.arousal }

  public init(startS: Double, endS: Double, answer: Answer) {
    self.startS = startS
    self.endS = endS
    self.answer = answer
  }
}

/// The answer for a whole song.
public struct Song: Equatable, Sendable {
  public let valence: Double
  public let arousal: Double
  public let valenceStd: Double?  // how far the answer may be off, one standard deviation
  public let arousalStd: Double?
  public let quadrant: String
  public let mood: String
  public let inDomain: Bool?  // false: farther from the training music than the card's threshold
}

/// Answers to windows in the order of time, and the answer of all together.
public struct Timeline: Sendable {
  public let card: Card
  public private(set) var segments: [Segment] = []
  public private(set) var silent = 0  // windows that held nothing
  public private(set) var repeated = false
  public internal(set) var durationS: Double?  // known when the song has ended

  public init(card: Card) {
    self.card = card
  }

  /// Windows heard so far.
  public var windows: Int { segments.count + silent }

  /// - Parameter answer: nil for a silent window.
  public mutating func add(_ window: Window, _ answer: Answer?) -> Segment? {
    repeated = repeated || window.repeated
    guard let answer else {
      silent += 1
      return nil
    }
    let segment = Segment(startS: window.startS, endS: window.endS, answer: answer)
    segments.append(segment)
    return segment
  }

  /// Mean of the windows that are not silent; the standard deviation is their geometric mean, or the card's.
  /// nil where all were silent.
  public var song: Song? {
    if segments.isEmpty { return nil }
    let valence = mean(segments.map(\.valence))
    let arousal = mean(segments.map(\.arousal))
    let distances = segments.compactMap(\.answer.distance)
    var inDomain: Bool?
    if let threshold = card.distanceThreshold, !distances.isEmpty { inDomain = mean(distances) <= threshold }
    return Song(
      valence: valence,
      arousal: arousal,
      valenceStd: deviation(segments.map(\.answer.valenceStd)) ?? card.valenceStd,
      arousalStd: deviation(segments.map(\.answer.arousalStd)) ?? card.arousalStd,
      quadrant: Circumplex.quadrant(valence: valence, arousal: arousal),
      mood: Circumplex.mood(valence: valence, arousal: arousal),
      inDomain: inDomain)
  }

  /// The window that is heard at a time [s]: the one whose middle is nearest.
  public func at(_ seconds: Double) -> Segment? {
    segments.min { abs(($0.startS + $0.endS) / 2 - seconds) < abs(($1.startS + $1.endS) / 2 - seconds) }
  }

  /// What a user should know about the answer, one line each.
  public var warnings: [String] {
    var found: [String] = []
    let windowS = Double(card.audio.samples) / Double(card.audio.sampleRate)
    if repeated, let durationS {
      let heard = String(format: "%.2f", durationS)
      found.append("shorter than one window of \(short(windowS)) s: \(heard) s were repeated to fill it")
    }
    if silent > 0 { found.append("\(silent) silent windows were left out") }
    if song?.inDomain == false {
      found.append("does not sound like the music the model was trained on: take the answer with caution")
    }
    return found
  }
}

private func mean(_ values: [Double]) -> Double {
  values.reduce(0, +) / Double(values.count)
}

/// Geometric mean; nil unless all windows have one.
private func deviation(_ values: [Double?]) -> Double? {
  let known = values.compactMap { $0 }
  if known.count < values.count { return nil }
  return exp(mean(known.map { log(max($0, 1e-6)) }))
}

/// 30 rather than 30.0.
private func short(_ value: Double) -> String {
  value == value.rounded() ? String(Int(value)) : String(value)
}
