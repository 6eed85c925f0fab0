import AVFoundation
import Foundation
import SentioKit

/// What the microphone hears, until it is stopped.
struct Microphone: SoundSource {
  let sampleRate: Double
  private var blocks: AsyncStream<[[Float]]>.Iterator

  init(sampleRate: Double, blocks: AsyncStream<[[Float]]>) {
    self.sampleRate = sampleRate
    self.blocks = blocks.makeAsyncIterator()
  }

  mutating func next() async throws -> [[Float]]? {
    await blocks.next()
  }
}

/// The microphone, to listen to and, in a file beside, to play again.
@MainActor
final class Recorder {
  /// Why it ended, if nobody stopped it.
  private(set) var reason: String?
  /// The recording; overwritten by the next one.
  let place = FileManager.default.temporaryDirectory.appendingPathComponent("recording.m4a")

  private let engine = AVAudioEngine()
  private var observers: [NSObjectProtocol] = []
  private var blocks: AsyncStream<[[Float]]>.Continuation?

  var isRunning: Bool { blocks != nil }

  /// Asks the user once; the system remembers the answer.
  nonisolated static func isPermitted() async -> Bool {
    await withCheckedContinuation { continuation in
      AVAudioSession.sharedInstance().requestRecordPermission { continuation.resume(returning: $0) }
    }
  }

  /// - Returns: rate [Hz] of the blocks, and these.
  /// - Throws: `SentioError` if there is no microphone, or something else has it.
  func start() throws -> (sampleRate: Double, blocks: AsyncStream<[[Float]]>) {
    reason = nil
    let session = AVAudioSession.sharedInstance()
    do {
      // Without the processing that is made for speech.
      try session.setCategory(.record, mode: .measurement)
      try session.setActive(true)
    } catch {
      throw SentioError(Messages.microphoneBusy)
    }
    let input = engine.inputNode
    let format = input.outputFormat(forBus: 0)
    guard format.sampleRate > 0, format.channelCount > 0 else { throw SentioError(Messages.noMicrophone) }
    let (stream, continuation) = AsyncStream<[[Float]]>.makeStream()
    blocks = continuation
    Self.tap(input, format, into: continuation, and: Copy(file: try? Self.file(at: place, format)))
    observe()
    do {
      engine.prepare()
      try engine.start()
    } catch {
      stop()
      throw SentioError(Messages.microphoneBusy)
    }
    return (format.sampleRate, stream)
  }

  /// Ends the blocks; nothing happens if it does not run.
  func stop(because reason: String? = nil) {
    guard let blocks else { return }
    self.reason = reason
    self.blocks = nil
    engine.inputNode.removeTap(onBus: 0)
    engine.stop()
    blocks.finish()
    for observer in observers { NotificationCenter.default.removeObserver(observer) }
    observers = []
    try? AVAudioSession.sharedInstance().setActive(false, options: .notifyOthersOnDeactivation)
  }

  /// Written by the tap alone.
  private struct Copy: @unchecked Sendable {
    let file: AVAudioFile?
  }

  private static func file(at place: URL, _ format: AVAudioFormat) throws -> AVAudioFile {
    try? FileManager.default.removeItem(at: place)
    return try AVAudioFile(
      forWriting: place,
      settings: [
        AVFormatIDKey: kAudioFormatMPEG4AAC,
        AVSampleRateKey: format.sampleRate,
        AVNumberOfChannelsKey: format.channelCount,
      ])
  }

  /// Not of the main actor: the tap is called by a thread of the audio engine.
  private nonisolated static func tap(
    _ input: AVAudioInputNode, _ format: AVAudioFormat, into blocks: AsyncStream<[[Float]]>.Continuation, and copy: Copy
  ) {
    input.installTap(onBus: 0, bufferSize: 8192, format: format) { buffer, _ in
      try? copy.file?.write(from: buffer)
      if let found = buffer.blocks { blocks.yield(found) }
    }
  }

  /// A call, an alarm, a headset that comes or goes: the recording ends, and what was heard is judged.
  private func observe() {
    func on(_ name: Notification.Name, _ reasonOf: @escaping @Sendable (Notification) -> String?) {
      observers.append(
        NotificationCenter.default.addObserver(forName: name, object: nil, queue: .main) { [weak self] note in
          guard let reason = reasonOf(note) else { return }
          MainActor.assumeIsolated { self?.stop(because: reason) }
        })
    }
    on(AVAudioSession.interruptionNotification) { note in
      let type = note.userInfo?[AVAudioSessionInterruptionTypeKey] as? UInt
      return type == AVAudioSession.InterruptionType.began.rawValue ? Messages.interrupted : nil
    }
    on(AVAudioSession.routeChangeNotification) { note in
      let change = note.userInfo?[AVAudioSessionRouteChangeReasonKey] as? UInt
      let devices: [AVAudioSession.RouteChangeReason] = [.newDeviceAvailable, .oldDeviceUnavailable]
      return devices.contains { $0.rawValue == change } ? Messages.routeChanged : nil
    }
    on(AVAudioSession.mediaServicesWereResetNotification) { _ in Messages.interrupted }
  }
}
