import Foundation

/// Where valence and arousal lie in a square: pleasant to the right, energetic up.
public struct CircumplexGeometry: Equatable, Sendable {
  public let side: Double  // points
  public let inset: Double  // room for the words at the ends of the axes

  public init(side: Double, inset: Double) {
    self.side = side
    self.inset = max(0, min(inset, side / 2))
  }

  public var center: CGPoint { CGPoint(x: side / 2, y: side / 2) }
  public var radius: Double { side / 2 - inset }
  public var rim: CGRect { CGRect(x: inset, y: inset, width: 2 * radius, height: 2 * radius) }

  /// Place of a point; what lies outside of [-1, 1] is drawn at the rim.
  public func place(valence: Double, arousal: Double) -> CGPoint {
    let length = max(1, hypot(valence, arousal))
    return CGPoint(x: side / 2 + valence / length * radius, y: side / 2 - arousal / length * radius)
  }

  /// The song's way through the circle, a point a window.
  public func trajectory(_ segments: [Segment]) -> [CGPoint] {
    segments.map { place(valence: $0.valence, arousal: $0.arousal) }
  }

  /// Frame of the ellipse of one standard deviation around a song; nil where the model tells none.
  public func ellipse(_ song: Song) -> CGRect? {
    guard let valenceStd = song.valenceStd, let arousalStd = song.arousalStd else { return nil }
    let middle = place(valence: song.valence, arousal: song.arousal)
    let (width, height) = (valenceStd * radius, arousalStd * radius)
    return CGRect(x: middle.x - width, y: middle.y - height, width: 2 * width, height: 2 * height)
  }
}

/// Where times and answers lie in a chart of a song.
public struct TimelineGeometry: Equatable, Sendable {
  public let width: Double  // points
  public let height: Double
  public let durationS: Double

  public init(width: Double, height: Double, durationS: Double) {
    self.width = width
    self.height = height
    self.durationS = max(durationS, 1e-3)
  }

  public func x(atS seconds: Double) -> Double {
    min(max(seconds / durationS, 0), 1) * width
  }

  public func seconds(atX x: Double) -> Double {
    width > 0 ? min(max(x / width, 0), 1) * durationS : 0
  }

  /// 1 at the top, -1 at the bottom.
  public func y(_ value: Double) -> Double {
    (1 - min(max(value, -1), 1)) / 2 * height
  }

  /// A line through the middles of the windows, level to both ends.
  public func line(_ segments: [Segment], _ value: (Segment) -> Double) -> [CGPoint] {
    guard let first = segments.first, let last = segments.last else { return [] }
    let middles = segments.map { CGPoint(x: x(atS: ($0.startS + $0.endS) / 2), y: y(value($0))) }
    let begin = CGPoint(x: x(atS: first.startS), y: y(value(first)))
    let end = CGPoint(x: x(atS: last.endS), y: y(value(last)))
    return [begin] + middles + [end]
  }
}
