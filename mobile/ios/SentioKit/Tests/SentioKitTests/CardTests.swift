import Golden
import SentioKit
import XCTest

final class CardTests: XCTestCase {
  func testCardInsideTheModelIsTheGoldenOne() throws {
    let file = try Data(contentsOf: Golden.model())
    XCTAssertEqual(file.count, try Golden.answers().model.bytes)
    let (card, golden) = (try Card.of(file), try Golden.card())
    XCTAssertEqual(card.name, golden.name)
    XCTAssertEqual(card.audio, golden.audio)
    XCTAssertEqual(card.windows, golden.windows)
    XCTAssertEqual(card.signature, golden.signature)
    XCTAssertEqual(card.kernel, golden.kernel)
    XCTAssertEqual(card.valenceStd, golden.valenceStd)
    XCTAssertEqual(card.distanceThreshold, golden.distanceThreshold)
    XCTAssertEqual(card.licence, golden.licence)
    XCTAssertFalse(card.licence.isEmpty)
  }

  func testMetadataOfWhatIsNoModel() throws {
    let none = "expected a TFLite model, received a file that is none; choose a .tflite of sentio-tf export"
    XCTAssertEqual(message { _ = try readMetadata(of: Data(count: 100), name: "x") }, none)
    XCTAssertEqual(message { _ = try readMetadata(of: Data(count: 3), name: "x") }, none)
    let file = try Data(contentsOf: Golden.model())
    let damaged = "the TFLite model is cut short or damaged; get it again"
    for size in [8, 20, 100, 240, 5000] {
      XCTAssertEqual(message { _ = try readMetadata(of: file.prefix(size), name: Card.entry) }, damaged, "\(size)")
    }
    XCTAssertNil(try readMetadata(of: file, name: "nothing of that name"))
    XCTAssertEqual(
      message { _ = try Card.of(replaced(file, "sentio.json", "sentio.jsom")) },
      "expected a model with a card, received one without; export it with sentio-tf export")
  }

  /// Whatever bytes are damaged: a card, or a message.
  func testDamageNeverCrashes() throws {
    let file = try Data(contentsOf: Golden.model()).prefix(12_000)
    var random = Seeded()
    for _ in 0..<300 {
      var damaged = Data(file)
      for _ in 0..<8 { damaged[Int.random(in: 8..<1000, using: &random)] = UInt8.random(in: 0...255, using: &random) }
      do { _ = try Card.of(damaged) } catch { XCTAssertTrue(error is SentioError, "\(error)") }
    }
  }

  func testCardsThatCannotBeUsed() throws {
    let text = "expected a card in JSON, received text that does not parse; export the model again"
    XCTAssertEqual(message { _ = try Card.parse(Data("{".utf8)) }, text)
    let newer =
      "expected a model with a card of sentio/1, received sentio/2; update this app, "
      + "or export the model again with its version of sentio-tf"
    XCTAssertEqual(message { _ = try Card.parse(changed(["schema"], "sentio/2")) }, newer)
    XCTAssertEqual(
      message { _ = try Card.parse(Data("[]".utf8)) }, newer.replacingOccurrences(of: "sentio/2", with: "none"))
    let wrong: [([String], Any?)] = [
      (["audio", "samples"], 0), (["audio", "samples"], "many"), (["audio", "sample_rate"], -1),
      (["audio", "sample_rate"], 22050.5), (["windows", "hop_s"], 31), (["windows", "hop_s"], nil),
      (["windows", "silence_peak"], -1), (["windows", "min_tail_s"], -1), (["signature", "output"], 3),
      (["signature", "name"], nil), (["domain", "threshold"], "far"), (["uncertainty", "valence_std"], []),
    ]
    for (path, value) in wrong {
      XCTAssertEqual(
        message { _ = try Card.parse(changed(path, value)) },
        "expected a usable card, received a wrong value of \(path.joined(separator: ".")); export the model again")
    }
    XCTAssertEqual(
      message {
        let even: [String: Any] = ["kind": "kaiser_sinc", "taps": 256, "beta": 7, "cutoff": 0.9]
        _ = try Card.parse(changed(["resampler"], even))
      },
      "expected a usable card, received a wrong value of resampler; export the model again")
    XCTAssertEqual(
      message { _ = try Card.parse(changed(["audio"], nil)) },
      "expected a usable card, received a wrong value of audio; export the model again")
  }

  /// Cards of before the resampler and the tail were stated were made for these.
  func testOlderCards() throws {
    let older = try Card.parse(changed(["resampler"], ["kind": "soxr"]))
    XCTAssertEqual(older.kernel, Kernel(taps: 257, beta: 7, cutoff: 0.956))
    XCTAssertEqual(try Card.parse(changed(["windows", "min_tail_s"], nil)).windows.minTailS, 1)
    XCTAssertNil(try Card.parse(changed(["domain"], nil)).distanceThreshold)
    XCTAssertNil(try Card.parse(changed(["uncertainty"], [String: Any]())).valenceStd)
  }

  func testSeal() throws {
    let file = try Data(contentsOf: Golden.model())
    XCTAssertNoThrow(try Seal.check(file), "a card without a hash promises nothing")
    let sealed = try sealed(file)
    XCTAssertNoThrow(try Seal.check(sealed))
    XCTAssertNoThrow(try Card.of(sealed))
    var damaged = sealed
    damaged[damaged.count - 1000] ^= 1
    XCTAssertEqual(
      message { try Seal.check(damaged) },
      "the TFLite model is not as it was exported, the hash in its card is another; get it again")
  }

  /// The model with its hash in its card, in the place of the description: of the same length, so that it stays whole.
  private func sealed(_ file: Data) throws -> Data {
    let card = String(decoding: try XCTUnwrap(readMetadata(of: file, name: Card.entry)), as: UTF8.self)
    let line = try XCTUnwrap(card.split(separator: "\n").first { $0.hasPrefix(" \"description\"") })
    func with(_ digits: String) -> Data {
      let field = " \"content_sha256\": \"\(digits)\","
      return replaced(file, String(line), field.padding(toLength: line.utf8.count, withPad: " ", startingAt: 0))
    }
    return with(sha256([UInt8](with(String(repeating: "0", count: 64)))))
  }
}

/// The same numbers in every run (SplitMix64).
struct Seeded: RandomNumberGenerator {
  private var state: UInt64 = 1

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}

/// The golden card with another value at a path, nil to remove it.
func changed(_ path: [String], _ value: Any?) throws -> Data {
  func set(_ object: Any, _ path: ArraySlice<String>) -> Any? {
    guard let key = path.first, var fields = object as? [String: Any] else { return value }
    fields[key] = path.count == 1 ? value : set(fields[key] ?? [:], path.dropFirst())
    return fields
  }
  let object = try JSONSerialization.jsonObject(with: Golden.data("card.json"))
  return try JSONSerialization.data(withJSONObject: XCTUnwrap(set(object, path[...])))
}
