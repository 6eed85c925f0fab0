import AVFoundation
import Combine
import Foundation

/// Plays the song that was judged, and tells where it is.
@MainActor
final class Player: ObservableObject {
  @Published private(set) var isReady = false
  @Published private(set) var isPlaying = false
  @Published private(set) var timeS = 0.0

  private var player: AVAudioPlayer?
  private var ticker: Task<Void, Never>?

  /// A file that cannot be played leaves the player without buttons; its answer is there all the same.
  func open(_ url: URL) {
    close()
    player = try? AVAudioPlayer(contentsOf: url)
    isReady = player?.prepareToPlay() ?? false
  }

  func close() {
    ticker?.cancel()
    player?.stop()
    player = nil
    isReady = false
    isPlaying = false
    timeS = 0
  }

  func toggle() {
    guard let player else { return }
    if player.isPlaying {
      player.pause()
      isPlaying = false
      return
    }
    let session = AVAudioSession.sharedInstance()
    try? session.setCategory(.playback)
    try? session.setActive(true)
    isPlaying = player.play()
    ticker?.cancel()
    ticker = Task { [weak self] in
      while !Task.isCancelled, self?.tick() == true {
        try? await Task.sleep(nanoseconds: 50_000_000)
      }
    }
  }

  func seek(toS seconds: Double) {
    guard let player else { return }
    player.currentTime = min(max(0, seconds), player.duration)
    timeS = player.currentTime
  }

  /// False when it has ended, or a call has ended it.
  private func tick() -> Bool {
    guard let player else { return false }
    timeS = player.currentTime
    isPlaying = player.isPlaying
    return isPlaying
  }
}
