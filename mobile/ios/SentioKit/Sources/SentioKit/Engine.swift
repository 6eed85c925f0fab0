/// Of one window: valence and arousal in [-1, 1], and what the model has beside them.
public struct Answer: Equatable, Sendable {
  public let valence: Double
  public let arousal: Double
  public let valenceStd: Double?  // standard deviations; both, or none
  public let arousalStd: Double?
  public let distance: Double?  // from the training music

  public init(
    valence: Double, arousal: Double, valenceStd: Double? = nil, arousalStd: Double? = nil, distance: Double? = nil
  ) {
    self.valence = valence
    self.arousal = arousal
    self.valenceStd = valenceStd
    self.arousalStd = arousalStd
    self.distance = distance
  }
}

/// What runs a window through a model.
public protocol Engine: Sendable {
  var card: Card { get }

  /// - Parameter samples: `card.audio.samples` of them, mono, at `card.audio.sampleRate`.
  /// - Throws: `SentioError` if the model cannot answer.
  func run(_ samples: [Float]) async throws -> Answer
}
