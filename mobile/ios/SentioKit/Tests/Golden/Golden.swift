import Foundation
import SentioKit

/// The files that every language is tested on, and the model that ships, in their places in the repository.
public enum Golden {
  public static let repository = (0..<6).reduce(URL(fileURLWithPath: #filePath)) { place, _ in
    place.deletingLastPathComponent()
  }
  public static let folder = repository.appendingPathComponent("mobile/golden")

  public static func data(_ name: String) throws -> Data {
    try Data(contentsOf: folder.appendingPathComponent(name))
  }

  public static func json<Value: Decodable>(_ name: String) throws -> Value {
    try JSONDecoder().decode(Value.self, from: data(name))
  }

  public static func floats(_ name: String) throws -> [Float] {
    let bytes = try data(name)
    return bytes.withUnsafeBytes { raw in
      (0..<(raw.count / 4)).map {
        Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
      }
    }
  }

  public static func card() throws -> Card {
    try Card.parse(data("card.json"))
  }

  public static func answers() throws -> Answers { try json("answers.json") }

  /// The model that ships for phones.
  public static func model() throws -> URL {
    struct Registry: Decodable {
      struct Entry: Decodable {
        let name: String
        let file: String
      }
      let live: String
      let models: [Entry]
    }
    let models = repository.appendingPathComponent("sentio_tf/models")
    let registry = try JSONDecoder().decode(
      Registry.self, from: Data(contentsOf: models.appendingPathComponent("registry.json")))
    guard let entry = registry.models.first(where: { $0.name == registry.live }) else {
      throw SentioError("registry.json names no file of \(registry.live)")
    }
    return models.appendingPathComponent(entry.file)
  }
}

public struct Answers: Decodable, Sendable {
  public struct Model: Decodable, Sendable {
    public let name: String
    public let bytes: Int
  }
  public struct Waveform: Decodable, Sendable {
    public let samples: Int
    public let sample_rate: Int
    public let sha256: String
    public let valence: Double
    public let arousal: Double
    public let std: [Double]?
    public let distance: Double?
  }
  public struct Part: Decodable, Sendable {
    public let start_s: Double
    public let end_s: Double
    public let valence: Double
    public let arousal: Double
  }
  public struct Timeline: Decodable, Sendable {
    public let samples: Int
    public let segments: [Part]
    public let valence: Double
    public let arousal: Double
  }
  public struct Files: Decodable, Sendable {
    public struct Case: Decodable, Sendable {
      public let file: String
      public let valence: Double
      public let arousal: Double
      public let quadrant: String
      public let mood: String
    }
    public let tolerance: Double
    public let cases: [Case]
  }
  public let model: Model
  public let tolerance: Double
  public let waveform: Waveform
  public let timeline: Timeline
  public let files: Files
}

/// Answers what a test says, in order, and remembers what it was asked.
public actor Scripted: Engine {
  public nonisolated let card: Card
  public private(set) var heard: [[Float]] = []
  private var answers: [Answer]

  /// - Parameter answers: one a window; the last again and again.
  public init(card: Card, answers: [Answer]) {
    self.card = card
    self.answers = answers
  }

  public func run(_ samples: [Float]) throws -> Answer {
    heard.append(Array(samples.prefix(1)))
    guard let answer = answers.first else { throw SentioError("asked for an answer that no test wants") }
    if answers.count > 1 { answers.removeFirst() }
    return answer
  }
}

/// Blocks that a test makes while they are asked for.
public struct Generated: SoundSource {
  public let sampleRate: Double
  private var blocks: Int
  private let make: @Sendable () throws -> [[Float]]

  public init(sampleRate: Double, blocks: Int, make: @escaping @Sendable () throws -> [[Float]]) {
    self.sampleRate = sampleRate
    self.blocks = blocks
    self.make = make
  }

  public mutating func next() throws -> [[Float]]? {
    if blocks == 0 { return nil }
    blocks -= 1
    return try make()
  }
}

/// What `body` complains of; nil if it does not.
public func message(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch {
    return (error as? SentioError)?.message ?? "\(error)"
  }
}

/// The bytes with the first place of a text replaced by another of the same length.
public func replaced(_ file: Data, _ old: String, _ new: String) -> Data {
  precondition(old.utf8.count == new.utf8.count)
  var found = file
  if let place = file.range(of: Data(old.utf8)) { found.replaceSubrange(place, with: Data(new.utf8)) }
  return found
}
