import Foundation

/// A windowed sinc, as the model's card states it.
public struct Kernel: Equatable, Sendable {
  public let taps: Int  // odd number of input samples that make an output
  public let beta: Double  // of the Kaiser window
  public let cutoff: Double  // middle of the transition, as a share of the lower Nyquist frequency

  public init(taps: Int, beta: Double, cutoff: Double) {
    self.taps = taps
    self.beta = beta
    self.cutoff = cutoff
  }
}

/// A stream of mono samples from one rate to another; memory does not grow.
///
/// Sample n of the output lies at p = n rateIn / rateOut of the input and is the sum over the `taps` samples k around it
/// of x[k] h(p - k), divided by the sum of these h, with w = (taps - 1) / 2 and
/// h(t) = sinc(cutoff min(1, rateOut / rateIn) t) I0(beta sqrt(1 - (t / w)^2)).
public struct Resampler: Sendable {
  /// Rows of the table at most; rates with a smaller common divisor compute their weights anew.
  static let tableRows = 2048

  private let kernel: Kernel
  private let up: Int
  private let down: Int
  private let half: Int
  private let table: [Double]  // row f: weights around an output whose place has the fraction f / up
  private var heard = 0  // input samples
  private var made = 0  // output samples
  private var first: Int  // index in the input of buffer[0]; before the file lies silence
  private var buffer: [Float]

  /// - Parameters:
  ///   - rateIn: of the sound [Hz], a whole number.
  ///   - rateOut: of the model [Hz].
  /// - Throws: `SentioError` for rates that are no whole numbers above 0.
  public init(rateIn: Double, rateOut: Int, kernel: Kernel) throws {
    guard let rate = Int(exactly: rateIn), rate > 0, rate <= 10_000_000, rateOut > 0 else {
      throw SentioError("expected sample rates in Hz, received \(rateIn) and \(rateOut); convert the file")
    }
    let shared = gcd(rate, rateOut)
    self.kernel = kernel
    up = rateOut / shared
    down = rate / shared
    half = (kernel.taps - 1) / 2
    first = -half
    buffer = [Float](repeating: 0, count: half)
    let (up, down) = (up, down)
    let rows = up == down || up > Self.tableRows ? 0 : up
    table = (0..<rows).flatMap { kernel.weights(fraction: Double($0) / Double(up), scale: Double(up) / Double(down)) }
  }

  /// Input samples held now.
  public var held: Int { buffer.count }

  /// What can be known now that `samples` have been heard.
  public mutating func push(_ samples: [Float]) -> [Float] {
    if up == down { return samples }
    heard += samples.count
    buffer.append(contentsOf: samples)
    // The last output whose taps have all been heard lies at heard - 1 - half or before.
    return until(floorDivide((heard - 1 - half) * up, down) + 1)
  }

  /// The rest; behind the file lies silence.
  public mutating func finish() -> [Float] {
    if up == down { return [] }
    buffer.append(contentsOf: [Float](repeating: 0, count: half + 1))
    return until((2 * heard * up + down) / (2 * down))
  }

  private mutating func until(_ end: Int) -> [Float] {
    let count = max(0, end - made)
    var out = [Float](repeating: 0, count: count)
    let taps = kernel.taps
    buffer.withUnsafeBufferPointer { heard in
      table.withUnsafeBufferPointer { table in
        for i in 0..<count {
          let (place, fraction) = ((made + i) * down).quotientAndRemainder(dividingBy: up)
          let around = UnsafeBufferPointer(rebasing: heard[(place - half - first)...].prefix(taps))
          if table.isEmpty {
            let scale = Double(up) / Double(down)
            let row = kernel.weights(fraction: Double(fraction) / Double(up), scale: scale)
            out[i] = row.withUnsafeBufferPointer { Float(dot(around, $0)) }
          } else {
            let row = UnsafeBufferPointer(rebasing: table[(fraction * taps)...].prefix(taps))
            out[i] = Float(dot(around, row))
          }
        }
      }
    }
    made += count
    let keep = min(made * down / up - half - first, buffer.count)
    if keep > 0 {
      buffer.removeFirst(keep)
      first += keep
    }
    return out
  }
}

/// A whole recording at once.
public func resample(_ samples: [Float], from rateIn: Double, to rateOut: Int, kernel: Kernel) throws -> [Float] {
  var stream = try Resampler(rateIn: rateIn, rateOut: rateOut, kernel: kernel)
  let head = stream.push(samples)
  return head + stream.finish()
}

extension Kernel {
  /// Weights of the samples around an output, their sum 1.
  ///
  /// - Parameters:
  ///   - fraction: of the output's place [input samples].
  ///   - scale: rateOut / rateIn.
  func weights(fraction: Double, scale: Double) -> [Double] {
    let half = Double((taps - 1) / 2)
    let found = (0..<taps).map { k -> Double in
      let t = fraction - (Double(k) - half)
      if abs(t) > half { return 0 }
      return sinc(cutoff * min(1, scale) * t) * bessel(beta * max(0, 1 - (t / half) * (t / half)).squareRoot())
    }
    let sum = found.reduce(0, +)
    return found.map { $0 / sum }
  }
}

/// Four sums side by side: the processor adds them at once.
private func dot(_ samples: UnsafeBufferPointer<Float>, _ weights: UnsafeBufferPointer<Double>) -> Double {
  var sums = SIMD4<Double>()
  var k = 0
  while k + 4 <= samples.count {
    let x = SIMD4<Double>(
      Double(samples[k]), Double(samples[k + 1]), Double(samples[k + 2]), Double(samples[k + 3]))
    sums += x * SIMD4<Double>(weights[k], weights[k + 1], weights[k + 2], weights[k + 3])
    k += 4
  }
  var sum = sums.sum()
  while k < samples.count {
    sum += Double(samples[k]) * weights[k]
    k += 1
  }
  return sum
}

private func gcd(_ a: Int, _ b: Int) -> Int {
  var (a, b) = (a, b)
  while b != 0 { (a, b) = (b, a % b) }
  return a
}

private func floorDivide(_ a: Int, _ b: Int) -> Int {
  let (quotient, rest) = a.quotientAndRemainder(dividingBy: b)
  return rest < 0 ? quotient - 1 : quotient
}

private func sinc(_ x: Double) -> Double {
  x == 0 ? 1 : sin(.pi * x) / (.pi * x)
}

/// Modified Bessel function of order 0: its power series, which converges for every argument.
private func bessel(_ x: Double) -> Double {
  var (term, sum, k) = (1.0, 1.0, 1.0)
  while term > 1e-17 * sum {
    term *= (x / (2 * k)) * (x / (2 * k))
    sum += term
    k += 1
  }
  return sum
}
