import Golden
import SentioKit
import SentioLiteRt
import XCTest

/// The model that ships, on LiteRT's library.
final class EngineTests: XCTestCase {
  private static let library = Result { try LiteRtLibrary(path: place()) }

  /// Never skipped: without the library nothing here is tested.
  private static func place() throws -> String {
    guard let place = ProcessInfo.processInfo.environment["SENTIO_LITERT"], !place.isEmpty else {
      throw SentioError("set SENTIO_LITERT to LiteRT's library; mobile/ios/tools/test.sh does")
    }
    return place
  }

  private func engine(_ file: Data? = nil, threads: Int = 2) throws -> LiteRtEngine {
    let library = try Self.library.get()
    if let file { return try LiteRtEngine(file: file, library: library, threads: threads) }
    return try LiteRtEngine(model: Golden.model(), library: library, threads: threads)
  }

  func testAnswerToTheGoldenWaveform() async throws {
    let answers = try Golden.answers()
    let waveform = Benchmark.goldenWaveform(samples: answers.waveform.samples, sampleRate: answers.waveform.sample_rate)
    for threads in [1, 2, 4] {
      let found = try await engine(threads: threads).run(waveform)
      XCTAssertEqual(found.valence, answers.waveform.valence, accuracy: answers.tolerance)
      XCTAssertEqual(found.arousal, answers.waveform.arousal, accuracy: answers.tolerance)
      XCTAssertEqual(found.distance == nil, answers.waveform.distance == nil)
      if let distance = answers.waveform.distance {
        XCTAssertEqual(try XCTUnwrap(found.distance), distance, accuracy: 1e-3)
      }
      XCTAssertEqual(found.valenceStd == nil, answers.waveform.std == nil)
      if let std = answers.waveform.std {
        XCTAssertEqual(try XCTUnwrap(found.valenceStd), std[0], accuracy: answers.tolerance)
        XCTAssertEqual(try XCTUnwrap(found.arousalStd), std[1], accuracy: answers.tolerance)
      }
    }
  }

  func testTimeline() async throws {
    let answers = try Golden.answers()
    let expected = answers.timeline
    let rate = answers.waveform.sample_rate
    let sound = Benchmark.goldenWaveform(samples: expected.samples, sampleRate: rate)
    var analyzer = try Analyzer(engine: engine(), sampleRate: Double(rate))
    for at in stride(from: 0, to: sound.count, by: 16_384) {
      try await analyzer.push([Array(sound[at..<min(sound.count, at + 16_384)])])
    }
    try await analyzer.finish()
    let found = analyzer.timeline
    XCTAssertEqual(found.segments.count, expected.segments.count)
    for (segment, part) in zip(found.segments, expected.segments) {
      XCTAssertEqual(segment.startS, part.start_s)
      XCTAssertEqual(segment.endS, part.end_s)
      XCTAssertEqual(segment.valence, part.valence, accuracy: answers.tolerance)
      XCTAssertEqual(segment.arousal, part.arousal, accuracy: answers.tolerance)
    }
    let song = try XCTUnwrap(found.song)
    XCTAssertEqual(song.valence, expected.valence, accuracy: answers.tolerance)
    XCTAssertEqual(song.arousal, expected.arousal, accuracy: answers.tolerance)
  }

  /// Twice with one engine, and another song between: nothing leaks.
  func testFileAndTwoSongsInARow() async throws {
    let answers = try Golden.answers()
    let expected = try XCTUnwrap(answers.files.cases.first { $0.file == "tone.wav" })
    let engine = try engine()
    let tone = { try WavFile(Golden.folder.appendingPathComponent("tone.wav")) }
    let first = try await listen(to: tone(), with: engine)
    let noise = Generated(sampleRate: 48000, blocks: 4) {
      [(0..<48000).map { _ in Float.random(in: -0.5...0.5) }]
    }
    let other = try await listen(to: noise, with: engine)
    let second = try await listen(to: tone(), with: engine)
    let song = try XCTUnwrap(first.song)
    XCTAssertEqual(song.valence, expected.valence, accuracy: answers.files.tolerance)
    XCTAssertEqual(song.arousal, expected.arousal, accuracy: answers.files.tolerance)
    XCTAssertEqual(song.quadrant, expected.quadrant)
    XCTAssertEqual(song.mood, expected.mood)
    XCTAssertEqual(second.song, first.song)
    XCTAssertNotEqual(other.song, first.song)
  }

  func testModelsThatCannotBeUsed() throws {
    let file = try Data(contentsOf: Golden.model())
    let none = URL(fileURLWithPath: "/nowhere/sentio.tflite")
    XCTAssertEqual(
      message { _ = try LiteRtEngine(model: none, library: Self.library.get()) },
      "the model sentio.tflite is missing or cannot be read; install the app again")
    XCTAssertEqual(
      message { _ = try engine(Data("no model".utf8)) },
      "expected a TFLite model, received a file that is none; choose a .tflite of sentio-tf export")
    for size in [5000, file.count / 2, file.count - 100_000, file.count - 4] {
      XCTAssertEqual(
        message { _ = try engine(file.prefix(size)) }, "the TFLite model is cut short or damaged; get it again",
        "\(size) of \(file.count) bytes")
    }
    XCTAssertEqual(
      message { _ = try engine(replaced(file, "sentio/1", "sentio/2")) },
      "expected a model with a card of sentio/1, received sentio/2; update this app, "
        + "or export the model again with its version of sentio-tf")
    XCTAssertEqual(
      message { _ = try engine(replaced(file, #""name": "predict""#, #""name": "perform""#)) },
      "expected a model with the signature perform, received predict; export it again")
    let other = message { _ = try engine(replaced(file, #""input": "waveform""#, #""input": "spectrum""#)) }
    XCTAssertTrue(
      other?.hasPrefix("expected predict(spectrum [1, 661500]) -> valence_arousal, received waveform [1, 661500] -> ")
        == true, "\(other ?? "nothing")")
    let shorter = message { _ = try engine(replaced(file, #""samples": 661500"#, #""samples": 441000"#)) }
    XCTAssertTrue(shorter?.hasPrefix("expected predict(waveform [1, 441000])") == true, "\(shorter ?? "nothing")")
  }

  func testWindowsOfAnotherLength() async throws {
    let engine = try engine()
    do {
      _ = try await engine.run([0, 0, 0])
      XCTFail("three samples are no window")
    } catch {
      XCTAssertEqual((error as? SentioError)?.message, "expected a window of 661500 samples, received 3")
    }
  }

  /// An analyzer lets no such sound through; a model that answers NaN for another reason is caught here.
  func testNotANumber() async throws {
    let engine = try engine()
    var sound = [Float](repeating: 0, count: engine.card.audio.samples)
    for i in stride(from: 0, to: sound.count, by: 1000) { sound[i] = .infinity }
    do {
      let answer = try await engine.run(sound)
      XCTFail("\(answer)")
    } catch {
      XCTAssertEqual((error as? SentioError)?.message, "the model answered NaN; export it again")
    }
  }

  /// The same model with a card that calls its outputs otherwise.
  func testOutputsThatNotEveryModelHas() async throws {
    let file = try Data(contentsOf: Golden.model())
    let distance = #""distance": "domain_distance""#
    let answers = try Golden.answers()
    let waveform = Benchmark.goldenWaveform(samples: answers.waveform.samples, sampleRate: answers.waveform.sample_rate)
    let twice = try await engine(replaced(file, distance, #""deviation":"valence_arousal""#)).run(waveform)
    XCTAssertEqual(twice.valenceStd, twice.valence)
    XCTAssertEqual(twice.arousalStd, twice.arousal)
    XCTAssertNil(twice.distance)
    let one = message { _ = try engine(replaced(file, distance, #""deviation":"domain_distance""#)) }
    XCTAssertTrue(one?.hasPrefix("expected predict(waveform [1, 661500]) -> ") == true, "\(one ?? "nothing")")
  }

  func testLibrariesThatCannotBeUsed() {
    XCTAssertEqual(
      message { _ = try LiteRtLibrary(path: "/nowhere/libLiteRt.so") },
      "expected LiteRT's library at /nowhere/libLiteRt.so, received none; link the app to LiteRT")
    XCTAssertEqual(
      message { _ = try LiteRtLibrary() },
      "expected LiteRT 2.3 or newer, received a library without LiteRtCreateEnvironment; update LiteRT",
      "this process is not linked to it")
  }

  /// An engine gives back what it took.
  func testEnginesInARow() throws {
    _ = try engine()
    let before = try XCTUnwrap(Benchmark.footprint())
    for _ in 0..<5 { _ = try engine() }
    let after = try XCTUnwrap(Benchmark.footprint())
    XCTAssertLessThan(after - before, 40_000_000, "bytes for five engines more")
  }

  func testBenchmark() async throws {
    let times = try await Benchmark.measure(engine(threads: 1), runs: 3)
    let found = try XCTUnwrap(times)
    XCTAssertEqual(found.runs, 3)
    XCTAssertGreaterThan(found.medianMs, 0)
    XCTAssertGreaterThanOrEqual(found.p95Ms, found.medianMs)
  }
}
