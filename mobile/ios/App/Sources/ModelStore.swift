import Foundation
import SentioKit
import SentioLiteRt

/// The model in the bundle, loaded once and away from the main thread.
actor ModelStore {
  static let shared = ModelStore()

  private var loaded: LiteRtEngine?

  func engine() throws -> LiteRtEngine {
    if let loaded { return loaded }
    let engine = try Self.load()
    loaded = engine
    return engine
  }

  /// One of its own, to measure it.
  func engine(threads: Int) throws -> LiteRtEngine {
    try Self.load(threads: threads)
  }

  private static func load(threads: Int? = nil) throws -> LiteRtEngine {
    guard let model = Bundle.main.url(forResource: "sentio", withExtension: "tflite") else {
      throw SentioError(Messages.noModel)
    }
    let library = try LiteRtLibrary()
    if let threads { return try LiteRtEngine(model: model, library: library, threads: threads) }
    return try LiteRtEngine(model: model, library: library)
  }
}
