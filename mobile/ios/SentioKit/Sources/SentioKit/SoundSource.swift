/// Sound in blocks, asked for one at a time: nobody holds more than one.
public protocol SoundSource {
  var sampleRate: Double { get }  // Hz

  /// Samples of all channels, the same number of each; nil at the end.
  mutating func next() async throws -> [[Float]]?
}

/// How far a song was heard, and what was found until then.
public struct SongProgress: Sendable {
  public let heardS: Double
  public let timeline: Timeline
}

/// Listens to a song from its beginning to its end.
///
/// - Parameter onProgress: is called after every block.
/// - Throws: `SentioError` if the sound cannot be read or holds nothing, `CancellationError` if the task is cancelled.
public func listen<Source: SoundSource>(
  to source: Source, with engine: any Engine, onProgress: @Sendable (SongProgress) async -> Void = { _ in }
) async throws -> Timeline {
  var source = source
  var analyzer = try Analyzer(engine: engine, sampleRate: source.sampleRate)
  var heard = 0
  while let block = try await source.next() {
    try Task.checkCancellation()
    guard let count = block.first?.count, count > 0 else { continue }
    try await analyzer.push(block)
    heard += count
    await onProgress(SongProgress(heardS: Double(heard) / source.sampleRate, timeline: analyzer.timeline))
  }
  try Task.checkCancellation()
  try await analyzer.finish()
  return analyzer.timeline
}
