import AVFoundation
import Foundation
import SentioKit

/// A file that AVFoundation decodes, in blocks at its own rate; no more than a block is held.
struct SongFile: SoundSource {
  private static let blockFrames: AVAudioFrameCount = 32_768

  let sampleRate: Double
  let durationS: Double
  private let name: String
  private let file: AVAudioFile
  private let buffer: AVAudioPCMBuffer

  /// - Throws: `SentioError` if the file is protected, or holds nothing that AVFoundation decodes.
  init(_ url: URL) async throws {
    name = url.lastPathComponent
    if await Self.isProtected(url) { throw SentioError(Messages.protected) }
    file = try Self.open(url)
    sampleRate = file.processingFormat.sampleRate
    durationS = Double(file.length) / sampleRate
    guard let buffer = AVAudioPCMBuffer(pcmFormat: file.processingFormat, frameCapacity: Self.blockFrames) else {
      throw SentioError(Messages.unreadable(name, "\(file.processingFormat.channelCount) channels"))
    }
    self.buffer = buffer
  }

  mutating func next() async throws -> [[Float]]? {
    if file.framePosition >= file.length { return nil }
    do {
      try file.read(into: buffer, frameCount: Self.blockFrames)
    } catch {
      // The length of some files is an estimate: an error within the last second is their end.
      if Double(file.length - file.framePosition) < sampleRate { return nil }
      throw SentioError(Messages.breaksOff(name, atS: Double(file.framePosition) / sampleRate))
    }
    return buffer.blocks
  }

  private static func isProtected(_ url: URL) async -> Bool {
    (try? await AVURLAsset(url: url).load(.hasProtectedContent)) ?? false
  }

  /// Coordinated, so that a file that lies in a cloud is fetched by its provider first.
  private static func open(_ url: URL) throws -> AVAudioFile {
    var opened: Result<AVAudioFile, Error>?
    var refused: NSError?
    NSFileCoordinator().coordinate(readingItemAt: url, options: .withoutChanges, error: &refused) { place in
      opened = Result { try AVAudioFile(forReading: place) }
    }
    switch opened {
    case .success(let file): return file
    case .failure(let error): throw SentioError(Messages.unreadable(url.lastPathComponent, reason(error)))
    case nil:
      throw SentioError(Messages.unreadable(url.lastPathComponent, refused.map(reason) ?? "it is not on this device"))
    }
  }

  private static func reason(_ error: Error) -> String {
    "error \((error as NSError).code)"
  }
}

extension AVAudioPCMBuffer {
  /// Samples by channel; nil if it holds none.
  var blocks: [[Float]]? {
    guard frameLength > 0, let channels = floatChannelData else { return nil }
    return (0..<Int(format.channelCount)).map { channel in
      Array(UnsafeBufferPointer(start: channels[channel], count: Int(frameLength)))
    }
  }
}
