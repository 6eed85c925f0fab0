import Foundation

/// A part of the sound that the model hears at once; `startS` and `endS` say which.
public struct Window: Equatable, Sendable {
  public let startS: Double
  public let endS: Double
  public let samples: [Float]
  public let repeated: Bool  // the file is shorter than a window and was repeated to fill it

  public init(startS: Double, endS: Double, samples: [Float], repeated: Bool) {
    self.startS = startS
    self.endS = endS
    self.samples = samples
    self.repeated = repeated
  }
}

/// A stream of samples to windows of fixed length.  Windows start at 0, hop, 2 hop, ... as long as they fit; if more
/// than `minTailS` is left, one more ends with the file; a file shorter than a window is repeated to fill one.
/// Two windows are held at most.
public struct Windows: Sendable {
  private let size: Int
  private let hop: Int
  private let rate: Double
  private let tail: Double  // samples
  private var buffer: [Float] = []
  private var first = 0  // index in the file of buffer[0]
  private var start = 0  // index in the file of the next window
  private var covered = 0

  /// Samples heard so far.
  public private(set) var total = 0

  /// - Throws: `SentioError` unless 0 < hop <= window: a larger one would skip music.
  public init(size: Int, hopS: Double, sampleRate: Int, minTailS: Double) throws {
    rate = Double(sampleRate)
    let longest = Double(size) / rate
    guard hopS > 0, hopS <= longest, (hopS * rate).rounded() >= 1 else {
      throw SentioError("expected a hop of more than 0 and at most \(longest) s, received \(hopS)")
    }
    self.size = size
    hop = min(size, Int((hopS * rate).rounded()))
    tail = minTailS * rate
  }

  /// Samples held now.
  public var held: Int { buffer.count }

  /// The windows that `samples` complete.
  public mutating func push(_ samples: [Float]) -> [Window] {
    buffer.append(contentsOf: samples)
    total += samples.count
    var found: [Window] = []
    while total >= start + size {
      found.append(cut(start))
      covered = start + size
      start += hop
    }
    // The last window may begin up to one hop before the next start: keep that much.
    let keep = max(0, min(start, total - size) - hop)
    if !found.isEmpty, keep > first {
      buffer.removeFirst(keep - first)
      first = keep
    }
    return found
  }

  /// The window that ends with the file, if one is due.
  public mutating func finish() -> [Window] {
    if total == 0 { return [] }
    if covered == 0 {
      let samples = (0..<size).map { buffer[$0 % total] }
      return [Window(startS: 0, endS: Double(total) / rate, samples: samples, repeated: total < size)]
    }
    return Double(total - covered) > tail ? [cut(total - size)] : []
  }

  private func cut(_ begin: Int) -> Window {
    let samples = Array(buffer[(begin - first)..<(begin - first + size)])
    return Window(startS: Double(begin) / rate, endS: Double(begin + size) / rate, samples: samples, repeated: false)
  }
}
