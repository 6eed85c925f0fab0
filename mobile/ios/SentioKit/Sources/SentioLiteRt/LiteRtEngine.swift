import Foundation
import SentioKit

/// A `.tflite` with its card on LiteRT: loaded once, waveform in, emotion out.  Windows run one after another.
public actor LiteRtEngine: Engine {
  public nonisolated let card: Card
  private let session: Session

  /// - Parameters:
  ///   - model: the file.
  ///   - threads: of the CPU.
  /// - Throws: `SentioError` if the file is missing, no TFLite model, damaged, without a card, of an unknown card
  ///   schema, or its signature is not the one that the card promises.
  public init(
    model: URL, library: LiteRtLibrary, threads: Int = min(4, ProcessInfo.processInfo.activeProcessorCount)
  ) throws {
    guard let file = try? Data(contentsOf: model) else {
      throw SentioError("the model \(model.lastPathComponent) is missing or cannot be read; install the app again")
    }
    try self.init(file: file, library: library, threads: threads)
  }

  /// - Parameter file: the whole `.tflite`.
  public init(file: Data, library: LiteRtLibrary, threads: Int) throws {
    card = try Card.of(file)
    try Seal.check(file)
    session = try Session(file: file, card: card, library: library, threads: max(1, threads))
  }

  public func run(_ samples: [Float]) throws -> Answer {
    try session.run(samples)
  }
}
