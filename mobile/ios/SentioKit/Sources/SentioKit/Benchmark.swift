import CFootprint
import Foundation

/// Median and 95 % quantile (linear between neighbours, as numpy) of times [ms], and how many there are.
public struct Times: Equatable, Sendable {
  public let medianMs: Double
  public let p95Ms: Double
  public let runs: Int

  /// nil without any.
  public init?(_ ms: [Double]) {
    if ms.isEmpty { return nil }
    let sorted = ms.sorted()
    func at(_ share: Double) -> Double {
      let place = share * Double(sorted.count - 1)
      let low = Int(place)
      let high = min(low + 1, sorted.count - 1)
      return sorted[low] + (place - Double(low)) * (sorted[high] - sorted[low])
    }
    medianMs = at(0.5)
    p95Ms = at(0.95)
    runs = ms.count
  }
}

public enum Benchmark {
  /// The waveform whose answer the card states: integers only, so that every language makes the same samples.
  public static func goldenWaveform(samples: Int, sampleRate: Int) -> [Float] {
    let steps = [131, 165, 196, 262].map { 65536 * $0 / sampleRate }
    return (0..<samples).map { i in
      let envelope = 8192 - 8192 * (i % sampleRate) / sampleRate
      let total = steps.reduce(0) { $0 + ((i * $1) % 65536 - 32768) * envelope }
      return Float(Double(total) / 2_147_483_648)
    }
  }

  /// Latency of a window: `runs` answers to the golden waveform after one that warms up.
  ///
  /// - Parameters:
  ///   - now: clock [ms].
  ///   - onRun: hears how many runs are done.
  /// - Throws: `CancellationError` if the task is cancelled, and what the engine throws.
  public static func measure(
    _ engine: any Engine, runs: Int = 10, now: @Sendable () -> Double = Benchmark.clock,
    onRun: @Sendable (Int) async -> Void = { _ in }
  ) async throws -> Times? {
    let audio = engine.card.audio
    let waveform = goldenWaveform(samples: audio.samples, sampleRate: audio.sampleRate)
    _ = try await engine.run(waveform)
    var ms: [Double] = []
    for run in 0..<max(0, runs) {
      try Task.checkCancellation()
      let began = now()
      _ = try await engine.run(waveform)
      ms.append(now() - began)
      await onRun(run + 1)
    }
    return Times(ms)
  }

  /// Monotonic [ms].
  public static let clock: @Sendable () -> Double = { Double(DispatchTime.now().uptimeNanoseconds) / 1e6 }

  /// Memory of this process [bytes] as the system counts it against its limit; nil where it does not tell.
  public static func footprint() -> Int? {
    let bytes = sentio_footprint()
    return bytes < 0 ? nil : Int(bytes)
  }
}
