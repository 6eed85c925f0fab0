import Golden
import SentioKit
import XCTest

final class WavFileTests: XCTestCase {
  func testToneIsStereo() throws {
    var wav = try WavFile(Golden.folder.appendingPathComponent("tone.wav"))
    XCTAssertEqual(wav.sampleRate, 44100)
    var frames = 0
    var peak: Float = 0
    while let block = try wav.next() {
      XCTAssertEqual(block.count, 2)
      XCTAssertEqual(block[0].count, block[1].count)
      frames += block[0].count
      peak = max(peak, block[0].map(abs).max() ?? 0)
    }
    XCTAssertEqual(frames, 66150)
    XCTAssertTrue(peak > 0.05 && peak <= 1, "\(peak)")
  }

  /// -1, 0 and a half in every format.
  func testFormats() throws {
    let cases: [(code: Int, bits: Int, [UInt8])] = [
      (1, 8, [0, 128, 192]),
      (1, 16, [0, 0x80, 0, 0, 0, 0x40]),
      (1, 24, [0, 0, 0x80, 0, 0, 0, 0, 0, 0x40]),
      (1, 32, [0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x40]),
      (3, 32, [0, 0, 0x80, 0xBF, 0, 0, 0, 0, 0, 0, 0, 0x3F]),
    ]
    for (code, bits, samples) in cases {
      var wav = try open(wav(code: code, bits: bits, samples: samples))
      XCTAssertEqual(try wav.next(), [[-1, 0, 0.5]], "\(bits) bits")
      XCTAssertNil(try wav.next())
    }
  }

  func testWhatCannotBeRead() throws {
    XCTAssertEqual(
      message { _ = try WavFile(URL(fileURLWithPath: "/nowhere.wav")) }, "the file cannot be read; check its name")
    XCTAssertEqual(
      message { _ = try WavFile(Golden.folder.appendingPathComponent("tone.mp3")) },
      "expected a WAV file, received another one; convert it")
    let damaged = "the WAV file is cut short or damaged; get it again"
    for size in [12, 20, 30, 40] {
      let start = wav(code: 1, bits: 16, samples: [0, 0]).prefix(size)
      XCTAssertEqual(message { _ = try open(start) }, damaged, "\(size)")
    }
    XCTAssertEqual(
      message { _ = try open(wav(code: 2, bits: 4, samples: [0, 0])) },
      "expected PCM of 8 to 32 bits or float of 32, received format 2 of 4 bits; convert the file")
  }

  private func open(_ bytes: Data) throws -> WavFile {
    let place = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).wav")
    try bytes.write(to: place)
    defer { try? FileManager.default.removeItem(at: place) }
    return try WavFile(place)
  }

  /// One channel at 22.05 kHz, with a chunk before the format that is of no interest.
  private func wav(code: Int, bits: Int, samples: [UInt8]) -> Data {
    func little(_ value: Int, _ bytes: Int) -> [UInt8] {
      (0..<bytes).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    var file = Array("RIFF".utf8) + little(0, 4) + Array("WAVE".utf8)
    file += Array("junk".utf8) + little(3, 4) + [1, 2, 3, 0]
    file += Array("fmt ".utf8) + little(16, 4) + little(code, 2) + little(1, 2) + little(22050, 4)
    file += little(22050 * bits / 8, 4) + little(max(1, bits / 8), 2) + little(bits, 2)
    file += Array("data".utf8) + little(samples.count, 4) + samples
    return Data(file)
  }
}
