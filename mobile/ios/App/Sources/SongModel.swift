import Combine
import Foundation
import SentioKit

/// One song at a time, from its choice to its answer.
@MainActor
final class SongModel: ObservableObject {
  enum State: Equatable {
    case idle
    case listening
    case recording
    case done
    case failed(String)
  }

  @Published private(set) var state = State.idle
  @Published private(set) var name = ""
  @Published private(set) var timeline: Timeline?
  @Published private(set) var heardS = 0.0
  @Published private(set) var durationS: Double?  // of a file
  @Published private(set) var windowS: Double?  // of sound that an answer takes
  @Published private(set) var notice: String?  // why a recording ended
  @Published private(set) var isDenied = false  // the microphone
  @Published private(set) var report: URL?  // JSON to share
  @Published private(set) var sound: URL?  // what can be played

  private let recorder = Recorder()
  private var task: Task<Void, Never>?
  private var current = 0  // number of the song: what comes late of an earlier one is dropped
  private var scoped: URL?

  var isBusy: Bool { state == .listening || state == .recording }

  /// How much of the file was heard, 0 to 1; nil where that is not known.
  var share: Double? {
    guard state == .listening, let durationS, durationS > 0 else { return nil }
    return min(1, heardS / durationS)
  }

  func picked(_ result: Result<URL, Error>) {
    switch result {
    case .success(let url): open(url)
    case .failure(let error): fail(SentioError(Messages.unreadable("the file", error.localizedDescription)))
    }
  }

  func open(_ url: URL) {
    let song = begin(url.lastPathComponent, .listening)
    // Outside of the app's folder a file may be read only between these calls; the player needs it, too.
    if url.startAccessingSecurityScopedResource() { scoped = url }
    task = Task {
      do {
        let engine = try await engine()
        let timeline = try await Listener.file(
          url, with: engine, onOpen: { [weak self] in await self?.opened($0, of: song) },
          onProgress: { [weak self] in await self?.heard($0, of: song) })
        finish(timeline, sound: url, of: song)
      } catch {
        fail(error, of: song)
      }
    }
  }

  func record() {
    let song = begin("recording", .recording)
    task = Task {
      guard await Recorder.isPermitted() else {
        if song == current { isDenied = true }
        return fail(SentioError(Messages.microphoneDenied), of: song)
      }
      do {
        let engine = try await engine()
        guard song == current else { return }
        let (rate, blocks) = try recorder.start()
        let timeline = try await Listener.microphone(
          rate, blocks, with: engine, onProgress: { [weak self] in await self?.heard($0, of: song) })
        if song == current { notice = recorder.reason }
        finish(timeline, sound: recorder.place, of: song)
      } catch {
        if song == current { recorder.stop() }
        fail(error, of: song)
      }
    }
  }

  /// The end of a recording: what was heard is judged.
  func stopRecording(because reason: String? = nil) {
    if recorder.isRunning {
      recorder.stop(because: reason)
      state = .listening
    } else if heardS == 0 {
      cancel()  // before it began
    }
  }

  /// Without a screen an app may not record.
  func leftScreen() {
    if recorder.isRunning { stopRecording(because: Messages.interrupted) }
  }

  /// Without an answer.
  func cancel() {
    _ = begin("", .idle)
  }

  private func engine() async throws -> any Engine {
    let engine = try await ModelStore.shared.engine()
    windowS = Double(engine.card.audio.samples) / Double(engine.card.audio.sampleRate)
    return engine
  }

  private func begin(_ name: String, _ state: State) -> Int {
    task?.cancel()
    recorder.stop()
    scoped?.stopAccessingSecurityScopedResource()
    scoped = nil
    current += 1
    self.name = name
    self.state = state
    timeline = nil
    heardS = 0
    durationS = nil
    notice = nil
    isDenied = false
    report = nil
    sound = nil
    return current
  }

  private func opened(_ durationS: Double, of song: Int) {
    if song == current { self.durationS = durationS }
  }

  private func heard(_ progress: SongProgress, of song: Int) {
    guard song == current else { return }
    // A file is heard much faster than it sounds: the screen need not follow every block.
    if progress.heardS - heardS >= max(0.5, (durationS ?? 0) / 200) { heardS = progress.heardS }
    if progress.timeline.windows != timeline?.windows { timeline = progress.timeline }
  }

  private func finish(_ found: Timeline, sound: URL, of song: Int) {
    guard song == current else { return }
    timeline = found
    state = .done
    self.sound = sound
    report = try? share(found)
  }

  private func fail(_ error: Error, of song: Int? = nil) {
    if let song, song != current { return }
    if error is CancellationError { return }
    timeline = nil
    state = .failed(error.localizedDescription)
  }

  /// A file for the share sheet.
  private func share(_ timeline: Timeline) throws -> URL? {
    guard let report = Report(path: name, timeline: timeline) else { return nil }
    let stem = (name as NSString).deletingPathExtension
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("\(stem).sentio.json")
    try report.json().write(to: place, options: .atomic)
    return place
  }
}

/// Listening, away from the main thread.
enum Listener {
  static func file(
    _ url: URL, with engine: any Engine, onOpen: @Sendable (Double) async -> Void,
    onProgress: @Sendable (SongProgress) async -> Void
  ) async throws -> Timeline {
    let song = try await SongFile(url)
    await onOpen(song.durationS)
    return try await listen(to: song, with: engine, onProgress: onProgress)
  }

  static func microphone(
    _ sampleRate: Double, _ blocks: AsyncStream<[[Float]]>, with engine: any Engine,
    onProgress: @Sendable (SongProgress) async -> Void
  ) async throws -> Timeline {
    try await listen(to: Microphone(sampleRate: sampleRate, blocks: blocks), with: engine, onProgress: onProgress)
  }
}
