import Foundation

/// What a user shares of a song: the fields of `sentio-tf predict --format json --timeline`.
public struct Report: Encodable, Sendable {
  public let path: String
  public let timeline: Timeline
  public let song: Song

  /// nil where nothing was judged yet.
  public init?(path: String, timeline: Timeline) {
    guard let song = timeline.song else { return nil }
    self.path = path
    self.timeline = timeline
    self.song = song
  }

  /// - Parameter pretty: one field a line; else all in one.
  public func json(pretty: Bool = true) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if pretty { encoder.outputFormatting.insert(.prettyPrinted) }
    return try encoder.encode(self)
  }

  private enum CodingKeys: String, CodingKey {
    case path, model, valence, arousal, quadrant, mood, windows, warnings, timeline
    case valenceStd = "valence_std"
    case arousalStd = "arousal_std"
    case durationS = "duration_s"
    case inDomain = "in_domain"
  }

  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(path, forKey: .path)
    try values.encode(timeline.card.name, forKey: .model)
    try values.encode(song.valence, forKey: .valence)
    try values.encode(song.arousal, forKey: .arousal)
    try values.encode(song.valenceStd, forKey: .valenceStd)
    try values.encode(song.arousalStd, forKey: .arousalStd)
    try values.encode(song.quadrant, forKey: .quadrant)
    try values.encode(song.mood, forKey: .mood)
    try values.encode(timeline.durationS, forKey: .durationS)
    try values.encode(timeline.windows, forKey: .windows)
    try values.encode(song.inDomain, forKey: .inDomain)
    try values.encode(timeline.warnings, forKey: .warnings)
    try values.encode(timeline.segments.map(Part.init), forKey: .timeline)
  }

  private struct Part: Encodable {
    let start_s: Double
    let end_s: Double
    let valence: Double
    let arousal: Double

    init(_ segment: Segment) {
      start_s = segment.startS
      end_s = segment.endS
      valence = segment.valence
      arousal = segment.arousal
    }
  }
}
