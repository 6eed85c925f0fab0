import Foundation

/// What a model says of itself: every number that the code here computes with.
public struct Card: Equatable, Sendable {
  public static let schema = "sentio/1"
  public static let entry = "sentio.json"

  /// What the waveform input holds.
  public struct Audio: Equatable, Sendable {
    public let sampleRate: Int  // Hz
    public let samples: Int
  }

  /// How a song becomes windows.
  public struct Windowing: Equatable, Sendable {
    public let hopS: Double
    public let minTailS: Double
    public let silencePeak: Double  // a window whose peak stays below it is silence
  }

  /// Names of the one signature and its tensors; `distance` and `deviation` are outputs that not every model has.
  public struct Signature: Equatable, Sendable {
    public let name: String
    public let input: String
    public let output: String
    public let distance: String?
    public let deviation: String?
  }

  public let name: String
  public let version: String
  public let licence: String
  public let audio: Audio
  public let windows: Windowing
  public let signature: Signature
  public let kernel: Kernel
  public let valenceStd: Double?  // of the whole model, where it does not tell one of the window
  public let arousalStd: Double?
  public let distanceThreshold: Double?  // songs farther from the training music are out of the domain

  /// The card inside a `.tflite`.
  ///
  /// - Throws: `SentioError` for another file, or one without a usable card.
  public static func of(_ file: Data) throws -> Card {
    guard let entry = try readMetadata(of: file, name: entry) else {
      throw SentioError("expected a model with a card, received one without; export it with sentio-tf export")
    }
    return try parse(entry)
  }

  /// A card from its JSON.
  ///
  /// - Throws: `SentioError` for other text, another schema, or a value that cannot be used.
  public static func parse(_ json: Data) throws -> Card {
    guard (try? JSONSerialization.jsonObject(with: json, options: .fragmentsAllowed)) != nil else {
      throw SentioError("expected a card in JSON, received text that does not parse; export the model again")
    }
    let received = (try? JSONDecoder().decode(Head.self, from: json))?.schema
    guard received == schema else {
      throw SentioError(
        "expected a model with a card of \(schema), received \(received ?? "none"); update this app, "
          + "or export the model again with its version of sentio-tf")
    }
    do {
      let card = Card(try JSONDecoder().decode(Values.self, from: json))
      let wrong = card.wrong
      if wrong.isEmpty { return card }
      throw unusable(wrong.joined(separator: ", "))
    } catch let error as DecodingError {
      throw unusable(error.path)
    }
  }

  private static func unusable(_ names: String) -> SentioError {
    SentioError("expected a usable card, received a wrong value of \(names); export the model again")
  }

  /// Fields whose value has the right type and cannot be used.
  private var wrong: [String] {
    let windowS = Double(audio.samples) / Double(max(1, audio.sampleRate))
    let good = [
      ("audio.sample_rate", audio.sampleRate > 0),
      ("audio.samples", audio.samples > 0),
      ("windows.hop_s", windows.hopS > 0 && (windows.hopS <= windowS || windowS <= 0)),
      ("windows.min_tail_s", windows.minTailS >= 0),
      ("windows.silence_peak", windows.silencePeak >= 0),
      (
        "resampler",
        kernel.taps >= 3 && kernel.taps <= 65537 && kernel.taps % 2 == 1 && (0...100).contains(kernel.beta)
          && kernel.cutoff > 0 && kernel.cutoff <= 1
      ),
    ]
    return good.filter { !$0.1 }.map(\.0)
  }

  private init(_ values: Values) {
    name = values.name ?? ""
    version = values.version ?? ""
    licence = values.licence ?? ""
    audio = Audio(
      sampleRate: Int(exactly: values.audio.sample_rate) ?? 0, samples: Int(exactly: values.audio.samples) ?? 0)
    windows = Windowing(
      hopS: values.windows.hop_s,
      minTailS: values.windows.min_tail_s ?? 1,  // cards of before it was stated
      silencePeak: values.windows.silence_peak)
    signature = Signature(
      name: values.signature.name, input: values.signature.input, output: values.signature.output,
      distance: values.signature.distance, deviation: values.signature.deviation)
    // Models of before the filter was stated were made for the same one.
    kernel = values.resampler?.kernel ?? Kernel(taps: 257, beta: 7, cutoff: 0.956)
    valenceStd = values.uncertainty?.valence_std
    arousalStd = values.uncertainty?.arousal_std
    distanceThreshold = values.domain?.threshold
  }
}

private struct Head: Decodable {
  let schema: String
}

/// The JSON, its names as they stand there.
private struct Values: Decodable {
  struct Audio: Decodable {
    let sample_rate: Double  // whole numbers; checked here, because decoders differ in what they say of others
    let samples: Double
  }
  struct Windows: Decodable {
    let hop_s: Double
    let min_tail_s: Double?
    let silence_peak: Double
  }
  struct Signature: Decodable {
    let name: String
    let input: String
    let output: String
    let distance: String?
    let deviation: String?
  }
  struct Resampler: Decodable {
    let kind: String?
    let taps: Int?
    let beta: Double?
    let cutoff: Double?

    var kernel: Kernel? {
      guard kind == "kaiser_sinc", let taps, let beta, let cutoff else { return nil }
      return Kernel(taps: taps, beta: beta, cutoff: cutoff)
    }
  }
  struct Uncertainty: Decodable {
    let valence_std: Double?
    let arousal_std: Double?
  }
  struct Domain: Decodable {
    let threshold: Double?
  }

  let name: String?
  let version: String?
  let licence: String?
  let audio: Audio
  let windows: Windows
  let signature: Signature
  let resampler: Resampler?
  let uncertainty: Uncertainty?
  let domain: Domain?
}

extension DecodingError {
  /// Name of the field that is at fault, as `audio.samples`.
  fileprivate var path: String {
    var keys: [any CodingKey]
    switch self {
    case .keyNotFound(let key, let context): keys = context.codingPath + [key]
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
      keys = context.codingPath
    @unknown default: keys = []
    }
    return keys.isEmpty ? "the whole" : keys.map(\.stringValue).joined(separator: ".")
  }
}
