import Golden
import SentioKit
import XCTest

/// Every step on the golden files that `sentio-tf export golden` writes.
final class GoldenTests: XCTestCase {
  func testDownmix() throws {
    struct File: Decodable {
      struct Case: Decodable {
        let channels: [[Float]]
        let mono: [Float]
      }
      let cases: [Case]
    }
    let file: File = try Golden.json("downmix.json")
    XCTAssertFalse(file.cases.isEmpty)
    for expected in file.cases {
      let found = downmix(expected.channels)
      XCTAssertEqual(found.count, expected.mono.count)
      XCTAssertLessThan(far(found, expected.mono), 1e-6)
    }
    XCTAssertEqual(downmix([]), [])
  }

  private struct ResamplerFile: Decodable {
    struct Filter: Decodable {
      let kind: String
      let taps: Int
      let beta: Double
      let cutoff: Double
    }
    struct Case: Decodable {
      let rate_in: Double
      let rate_out: Int
      let `in`: String
      let out: String
    }
    let resampler: Filter
    let tolerance: Float
    let cases: [Case]

    var kernel: Kernel { Kernel(taps: resampler.taps, beta: resampler.beta, cutoff: resampler.cutoff) }
  }

  func testResampler() throws {
    let file: ResamplerFile = try Golden.json("resampler.json")
    XCTAssertEqual(file.resampler.kind, "kaiser_sinc")
    XCTAssertFalse(file.cases.isEmpty)
    for expected in file.cases {
      let found = try resample(
        Golden.floats(expected.in), from: expected.rate_in, to: expected.rate_out, kernel: file.kernel)
      let wanted = try Golden.floats(expected.out)
      XCTAssertEqual(found.count, wanted.count)
      XCTAssertLessThanOrEqual(far(found, wanted), file.tolerance, "\(expected.rate_in) -> \(expected.rate_out)")
    }
  }

  func testResamplerInPieces() throws {
    let file: ResamplerFile = try Golden.json("resampler.json")
    for expected in file.cases {
      let sound = try Golden.floats(expected.in)
      var stream = try Resampler(rateIn: expected.rate_in, rateOut: expected.rate_out, kernel: file.kernel)
      var found: [Float] = []
      var (at, size) = (0, 1)
      while at < sound.count {
        found += stream.push(Array(sound[at..<min(sound.count, at + size)]))
        XCTAssertLessThan(stream.held, 2000, "memory does not grow")
        at += size
        size = max(1, size * 7 % 911)
      }
      found += stream.finish()
      XCTAssertEqual(
        found, try resample(sound, from: expected.rate_in, to: expected.rate_out, kernel: file.kernel))
    }
  }

  /// A rate without a large common divisor has no table: its weights are made anew, and are the same.
  func testResamplerWithoutTable() throws {
    let file: ResamplerFile = try Golden.json("resampler.json")
    let tone = { (rate: Double) in (0..<4000).map { Float(sin(2 * .pi * 440 * Double($0) / rate)) } }
    let found = try resample(tone(44_101), from: 44_101, to: 22_050, kernel: file.kernel)
    let near = try resample(tone(44_100), from: 44_100, to: 22_050, kernel: file.kernel)
    XCTAssertEqual(found.count, 2000)
    // Both are samples of one tone; away from the ends they differ by their filters' ripple only.
    XCTAssertLessThan(far(Array(found[200..<1800]), Array(near[200..<1800])), 2e-3)
  }

  func testWindows() throws {
    struct File: Decodable {
      struct Case: Decodable {
        let samples: Int
        let windows: [[Int]]
        let repeated: Bool
      }
      let rate: Int
      let size: Int
      let hop_s: Double
      let min_tail_s: Double
      let cases: [Case]
    }
    let file: File = try Golden.json("windows.json")
    XCTAssertFalse(file.cases.isEmpty)
    for expected in file.cases {
      var cutter = try Windows(size: file.size, hopS: file.hop_s, sampleRate: file.rate, minTailS: file.min_tail_s)
      var found: [Window] = []
      for at in stride(from: 0, to: expected.samples, by: file.rate) {
        // Sample i is i, so that a window shows where it comes from (whole numbers up to 2^24 are exact).
        found += cutter.push((at..<min(expected.samples, at + file.rate)).map(Float.init))
        XCTAssertLessThanOrEqual(cutter.held, 2 * file.size + file.rate, "two windows at most")
      }
      found += cutter.finish()
      let rate = Double(file.rate)
      let places = found.map { [Int(($0.startS * rate).rounded()), Int(($0.endS * rate).rounded())] }
      XCTAssertEqual(places, expected.windows, "\(expected.samples) samples")
      XCTAssertEqual(found[0].repeated, expected.repeated)
      for (window, place) in zip(found, expected.windows) {
        XCTAssertEqual(window.samples.count, file.size)
        XCTAssertEqual(window.samples.first, Float(place[0]))
        let last = window.repeated ? (file.size - 1) % expected.samples : place[1] - 1
        XCTAssertEqual(window.samples.last, Float(last))
      }
    }
  }

  func testCircumplex() throws {
    struct File: Decodable {
      let cases: [Point]
      struct Point: Decodable {
        let valence: Double
        let arousal: Double
        let quadrant: String
        let mood: String

        init(from decoder: any Decoder) throws {
          var values = try decoder.unkeyedContainer()
          valence = try values.decode(Double.self)
          arousal = try values.decode(Double.self)
          quadrant = try values.decode(String.self)
          mood = try values.decode(String.self)
        }
      }
    }
    let file: File = try Golden.json("circumplex.json")
    XCTAssertFalse(file.cases.isEmpty)
    for point in file.cases {
      let said = "\(point.valence), \(point.arousal)"
      XCTAssertEqual(Circumplex.quadrant(valence: point.valence, arousal: point.arousal), point.quadrant, said)
      XCTAssertEqual(Circumplex.mood(valence: point.valence, arousal: point.arousal), point.mood, said)
    }
  }

  func testTimes() throws {
    struct File: Decodable {
      struct Case: Decodable {
        let ms: [Double]
        let median_ms: Double
        let p95_ms: Double
        let runs: Int
      }
      let cases: [Case]
    }
    let file: File = try Golden.json("benchmark.json")
    XCTAssertFalse(file.cases.isEmpty)
    for expected in file.cases {
      let found = try XCTUnwrap(Times(expected.ms))
      XCTAssertEqual(found.medianMs, expected.median_ms, accuracy: 1e-3)
      XCTAssertEqual(found.p95Ms, expected.p95_ms, accuracy: 1e-3)
      XCTAssertEqual(found.runs, expected.runs)
    }
    XCTAssertNil(Times([]))
  }

  func testGoldenWaveformBitByBit() throws {
    let waveform = try Golden.answers().waveform
    let samples = Benchmark.goldenWaveform(samples: waveform.samples, sampleRate: waveform.sample_rate)
    let bytes = samples.flatMap { sample in withUnsafeBytes(of: sample.bitPattern.littleEndian, Array.init) }
    XCTAssertEqual(sha256(bytes), waveform.sha256)
  }

  /// The examples of FIPS 180-4, at the lengths where the padding takes a block more.
  func testHash() {
    XCTAssertEqual(sha256([]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    XCTAssertEqual(sha256(Array("abc".utf8)), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    XCTAssertEqual(
      sha256(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)),
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
  }
}

func far(_ a: [Float], _ b: [Float]) -> Float {
  zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
}
