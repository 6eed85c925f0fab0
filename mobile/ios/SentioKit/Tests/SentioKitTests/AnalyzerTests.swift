import Golden
import SentioKit
import XCTest

/// Analyzer and timeline with an engine that answers what a test says.
final class AnalyzerTests: XCTestCase {
  func testSongBecomesTheGoldenTimeline() async throws {
    let golden = try Golden.answers().timeline
    let card = try Golden.card()
    let engine = Scripted(
      card: card, answers: golden.segments.map { Answer(valence: $0.valence, arousal: $0.arousal, distance: 1) })
    var analyzer = try Analyzer(engine: engine, sampleRate: Double(card.audio.sampleRate))
    let sound = Benchmark.goldenWaveform(samples: golden.samples, sampleRate: card.audio.sampleRate)
    for at in stride(from: 0, to: sound.count, by: 4096) {
      try await analyzer.push([Array(sound[at..<min(sound.count, at + 4096)])])
    }
    try await analyzer.finish()
    let found = analyzer.timeline
    XCTAssertEqual(found.segments.map(\.startS), golden.segments.map(\.start_s))
    XCTAssertEqual(found.segments.map(\.endS), golden.segments.map(\.end_s))
    let song = try XCTUnwrap(found.song)
    XCTAssertEqual(song.valence, golden.valence, accuracy: 1e-6)
    XCTAssertEqual(song.arousal, golden.arousal, accuracy: 1e-6)
    XCTAssertEqual(song.valenceStd, card.valenceStd)
    XCTAssertEqual(song.inDomain, 1 <= (try XCTUnwrap(card.distanceThreshold)))
    XCTAssertEqual(found.at(3)?.startS, 0)
    XCTAssertEqual(found.at(46)?.startS, golden.segments.last?.start_s)
    XCTAssertEqual(try XCTUnwrap(found.durationS), Double(golden.samples) / 22050, accuracy: 1e-9)
    XCTAssertEqual(found.warnings, [])
  }

  func testStandardDeviationsOfASong() throws {
    var timeline = Timeline(card: try Golden.card())
    let window = Window(startS: 0, endS: 30, samples: [], repeated: false)
    _ = timeline.add(window, Answer(valence: 0.2, arousal: 0, valenceStd: 0.1, arousalStd: 0.2))
    _ = timeline.add(window, Answer(valence: 0.4, arousal: 0, valenceStd: 0.4, arousalStd: 0.2))
    let song = try XCTUnwrap(timeline.song)
    XCTAssertEqual(try XCTUnwrap(song.valenceStd), 0.2, accuracy: 1e-12)
    XCTAssertEqual(try XCTUnwrap(song.arousalStd), 0.2, accuracy: 1e-12)
    XCTAssertNil(song.inDomain)
  }

  func testWarnings() async throws {
    let card = try Golden.card()
    let far = Answer(valence: 0, arousal: 0, distance: 99)
    let short = try await listen(
      to: Generated(sampleRate: 22050, blocks: 3) { [[Float](repeating: 0.5, count: 22050)] },
      with: Scripted(card: card, answers: [far]))
    XCTAssertEqual(
      short.warnings,
      [
        "shorter than one window of 30 s: 3.00 s were repeated to fill it",
        "does not sound like the music the model was trained on: take the answer with caution",
      ])
    var timeline = Timeline(card: card)
    _ = timeline.add(Window(startS: 0, endS: 30, samples: [], repeated: false), nil)
    XCTAssertEqual(timeline.warnings, ["1 silent windows were left out"])
    XCTAssertNil(timeline.song)
    XCTAssertNil(timeline.at(0))
  }

  func testSilenceAndNothingAtAll() async throws {
    let engine = Scripted(card: try Golden.card(), answers: [])
    let zeros = [Float](repeating: 0, count: 44100)
    let silent = await caught {
      _ = try await listen(to: Generated(sampleRate: 44100, blocks: 2) { [zeros, zeros] }, with: engine)
    }
    XCTAssertEqual(silent, "the file is silent throughout; there is nothing to judge")
    let empty = await caught {
      _ = try await listen(to: Generated(sampleRate: 44100, blocks: 1) { [[], []] }, with: engine)
    }
    XCTAssertEqual(empty, "the file holds no sound; choose another one")
    let heard = await engine.heard
    XCTAssertTrue(heard.isEmpty, "silence is not judged")
    for rate in [44100.5, 0, -8000, .nan, .infinity] {
      XCTAssertTrue(
        message { _ = try Analyzer(engine: engine, sampleRate: rate) }?
          .hasPrefix("expected sample rates in Hz, received ") == true, "\(rate)")
    }
    XCTAssertEqual(
      message { _ = try Windows(size: 100, hopS: 11, sampleRate: 10, minTailS: 1) },
      "expected a hop of more than 0 and at most 10.0 s, received 11.0")
  }

  /// Float files may hold anything; a model answers some of it as if it were sound.
  func testSoundThatIsNone() async throws {
    let engine = Scripted(card: try Golden.card(), answers: [])
    for rate in [22050.0, 44100] {
      for bad in [Float.nan, .infinity, -.infinity] {
        let found = await caught {
          _ = try await listen(
            to: Generated(sampleRate: rate, blocks: 1) { [[0.5, bad] + [Float](repeating: 0.5, count: 2000)] },
            with: engine)
        }
        XCTAssertEqual(found, "the sound holds NaN or infinity near 0:00; convert the file again")
      }
    }
    let integers = await caught {
      _ = try await listen(
        to: Generated(sampleRate: 22050, blocks: 1) { [[Float](repeating: -20000, count: 2000)] }, with: engine)
    }
    XCTAssertEqual(integers, "expected samples in [-1, 1], received 20000.0 near 0:00; scale the file")
  }

  func testChannelsThatCancelOut() async throws {
    let engine = Scripted(card: try Golden.card(), answers: [])
    let found = await caught {
      _ = try await listen(
        to: Generated(sampleRate: 22050, blocks: 1) {
          [[Float](repeating: 0.5, count: 2000), [Float](repeating: -0.5, count: 2000)]
        }, with: engine)
    }
    XCTAssertEqual(
      found, "the channels cancel each other out in mono (one is inverted); invert it or take one channel")
  }

  /// Filters and decoders overshoot; the model's contract is [-1, 1].
  func testOvershootIsClipped() async throws {
    let engine = Scripted(card: try Golden.card(), answers: [Answer(valence: 0, arousal: 0)])
    for sample: Float in [1.5, -1.25, 0.5] {
      var analyzer = try Analyzer(engine: engine, sampleRate: 22050)
      try await analyzer.push([[Float](repeating: sample, count: 2000)])
      try await analyzer.finish()
    }
    let first = await engine.heard
    XCTAssertEqual(first, [[1], [-1], [0.5]])
  }

  /// Stereo at 44.1 kHz through every step but the model.
  func testAnHourInBoundedMemory() async throws {
    let card = try Golden.card()
    let engine = Scripted(card: card, answers: [Answer(valence: 0, arousal: 0)])
    let block = (0..<44100).map { Float(sin(2 * .pi * 440 * Double($0) / 44100)) / 2 }
    var analyzer = try Analyzer(engine: engine, sampleRate: 44100)
    var early = 0
    for second in 0..<3600 {
      try await analyzer.push([block, block])
      XCTAssertLessThan(analyzer.held, 3 * card.audio.samples)
      if second == 120 { early = try XCTUnwrap(Benchmark.footprint()) }
    }
    try await analyzer.finish()
    let late = try XCTUnwrap(Benchmark.footprint())
    XCTAssertEqual(analyzer.timeline.segments.count, 239)
    XCTAssertEqual(analyzer.timeline.segments.last?.endS, 3600)
    XCTAssertLessThan(late - early, 32_000_000, "bytes more after an hour than after two minutes")
  }

  func testTwoSongsKnowNothingOfEachOther() async throws {
    let card = try Golden.card()
    let answers = [Answer(valence: 0.5, arousal: 0.5), Answer(valence: -0.5, arousal: -0.5)]
    let engine = Scripted(card: card, answers: answers)
    let song = { (level: Float) in
      Generated(sampleRate: 22050, blocks: 4) { [[Float](repeating: level, count: 220_500)] }
    }
    let first = try await listen(to: song(0.25), with: engine)
    XCTAssertEqual(first.segments.count, 2, "at 0 and 10 s: the second ends with the song")
    let second = try await listen(
      to: Generated(sampleRate: 22050, blocks: 1) { [[Float](repeating: -0.25, count: 22050)] }, with: engine)
    XCTAssertEqual(second.segments.count, 1)
    XCTAssertEqual(second.song?.valence, -0.5)
    let heard = await engine.heard
    XCTAssertEqual(heard.last, [-0.25])
  }

  func testProgressAndCancelling() async throws {
    let card = try Golden.card()
    let engine = Scripted(card: card, answers: [Answer(valence: 0, arousal: 0)])
    let times = Seen()
    _ = try await listen(
      to: Generated(sampleRate: 22050, blocks: 31) { [[Float](repeating: 0.5, count: 22050)] }, with: engine
    ) { await times.add($0.heardS, $0.timeline.segments.count) }
    let seen = await times.seen
    XCTAssertEqual(seen.count, 31)
    XCTAssertEqual(seen.last?.0, 31)
    XCTAssertEqual(seen[28].1, 0)
    XCTAssertEqual(seen[29].1, 1, "the first window is judged as soon as it was heard")

    let task = Task {
      try await listen(
        to: Generated(sampleRate: 22050, blocks: .max) { [[Float](repeating: 0, count: 22050)] }, with: engine)
    }
    task.cancel()
    let result = await task.result
    XCTAssertThrowsError(try result.get()) { XCTAssertTrue($0 is CancellationError) }
  }

  func testSoundThatBreaksOff() async throws {
    let engine = Scripted(card: try Golden.card(), answers: [])
    let found = await caught {
      _ = try await listen(
        to: Generated(sampleRate: 22050, blocks: 2) { throw SentioError("the file is damaged") }, with: engine)
    }
    XCTAssertEqual(found, "the file is damaged")
  }

  func testMeasure() async throws {
    let clock = Clock()
    let engine = Scripted(card: try Golden.card(), answers: [Answer(valence: 0, arousal: 0)])
    let runs = Seen()
    let times = try await Benchmark.measure(engine, runs: 4, now: { clock.tick() }) { await runs.add(0, $0) }
    XCTAssertEqual(times?.medianMs, 25)
    XCTAssertEqual(times?.p95Ms, 25)
    XCTAssertEqual(times?.runs, 4)
    let seen = await runs.seen.map(\.1)
    XCTAssertEqual(seen, [1, 2, 3, 4])
    let heard = await engine.heard
    XCTAssertEqual(heard.count, 5, "one that warms up")
  }
}

actor Seen {
  private(set) var seen: [(Double, Int)] = []
  func add(_ time: Double, _ count: Int) { seen.append((time, count)) }
}

/// A clock that is 25 ms later each time it is asked.
final class Clock: @unchecked Sendable {
  private let lock = NSLock()
  private var ms = 0.0

  func tick() -> Double {
    lock.withLock {
      ms += 25
      return ms
    }
  }
}

func caught(_ body: () async throws -> Void) async -> String? {
  do {
    try await body()
    return nil
  } catch {
    return (error as? SentioError)?.message ?? "\(error)"
  }
}
