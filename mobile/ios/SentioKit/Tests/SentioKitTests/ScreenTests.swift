import Golden
import SentioKit
import XCTest

/// What the app draws, says and shares.
final class ScreenTests: XCTestCase {
  private func timeline(_ answers: [Answer]) throws -> Timeline {
    var timeline = Timeline(card: try Golden.card())
    for (i, answer) in answers.enumerated() {
      let window = Window(startS: 15 * Double(i), endS: 15 * Double(i) + 30, samples: [], repeated: false)
      _ = timeline.add(window, answer)
    }
    return timeline
  }

  func testCircumplex() throws {
    let geometry = CircumplexGeometry(side: 200, inset: 20)
    XCTAssertEqual(geometry.radius, 80)
    XCTAssertEqual(geometry.rim, CGRect(x: 20, y: 20, width: 160, height: 160))
    XCTAssertEqual(geometry.place(valence: 0, arousal: 0), geometry.center)
    XCTAssertEqual(geometry.place(valence: 1, arousal: 0), CGPoint(x: 180, y: 100), "pleasant is to the right")
    XCTAssertEqual(geometry.place(valence: 0, arousal: 1), CGPoint(x: 100, y: 20), "energetic is up")
    XCTAssertEqual(geometry.place(valence: -3, arousal: 0), CGPoint(x: 20, y: 100), "the rim holds what is outside")
    let found = try timeline([Answer(valence: 0, arousal: 0), Answer(valence: 0.5, arousal: 0.5)])
    XCTAssertEqual(geometry.trajectory(found.segments), [CGPoint(x: 100, y: 100), CGPoint(x: 140, y: 60)])
    let song = try XCTUnwrap(found.song)
    let ellipse = try XCTUnwrap(geometry.ellipse(song))
    XCTAssertEqual(ellipse.midX, 120, accuracy: 1e-9)
    XCTAssertEqual(ellipse.midY, 80, accuracy: 1e-9)
    XCTAssertEqual(ellipse.width, 2 * 80 * (try XCTUnwrap(song.valenceStd)), accuracy: 1e-9)
    XCTAssertEqual(CircumplexGeometry(side: 10, inset: 50).radius, 0, "no room")
  }

  func testTimelineChart() throws {
    let geometry = TimelineGeometry(width: 300, height: 100, durationS: 45)
    XCTAssertEqual(geometry.x(atS: 15), 100)
    XCTAssertEqual(geometry.x(atS: 99), 300)
    XCTAssertEqual(geometry.seconds(atX: 100), 15)
    XCTAssertEqual(geometry.seconds(atX: -5), 0)
    XCTAssertEqual([1, 0, -1, -7].map(geometry.y), [0, 50, 100, 100])
    let segments = try timeline([Answer(valence: 0, arousal: 1), Answer(valence: 1, arousal: 1)]).segments
    XCTAssertEqual(
      geometry.line(segments, \.valence),
      [CGPoint(x: 0, y: 50), CGPoint(x: 100, y: 50), CGPoint(x: 200, y: 0), CGPoint(x: 300, y: 0)])
    XCTAssertEqual(geometry.line([], \.valence), [])
    XCTAssertEqual(TimelineGeometry(width: 0, height: 0, durationS: 0).seconds(atX: 3), 0)
  }

  func testNumbers() {
    XCTAssertEqual([0, 65, 3727, -1, .nan].map(Texts.time), ["0:00", "1:05", "1:02:07", "0:00", "0:00"])
    XCTAssertEqual([0.236, -0.5, 0.001, -0.001].map(Texts.signed), ["+0.24", "\u{2212}0.50", "0.00", "0.00"])
    XCTAssertEqual(Texts.value(0.5, std: 0.125), "+0.50 \u{00B1} 0.12")
    XCTAssertEqual(Texts.value(0.5, std: nil), "+0.50")
    XCTAssertEqual(Texts.memory(123_456_789), "123.5 MB")
    XCTAssertEqual(Texts.milliseconds(84.86), "84.9 ms")
  }

  func testSpoken() throws {
    let found = try timeline([Answer(valence: 0.6, arousal: 0.02), Answer(valence: -0.6, arousal: -0.5)])
    XCTAssertEqual(Texts.spoken(found), "2 windows, 0:45, from happy to sad")
    XCTAssertEqual(Texts.spoken(try timeline([])), "nothing judged yet")
    XCTAssertEqual(
      Texts.spoken(try timeline([Answer(valence: 0.6, arousal: 0)])),
      "1 window, 0:30, happy at the beginning and at the end")
    XCTAssertEqual(
      Texts.spoken(found.segments[0], atS: 12), "at 0:12 happy: 60 percent pleasant, neither calm nor energetic")
    XCTAssertEqual(
      Texts.spoken(try XCTUnwrap(timeline([Answer(valence: -0.6, arousal: -0.5)]).song)),
      "sad: 60 percent unpleasant, 50 percent calm")
  }

  func testReport() throws {
    XCTAssertNil(Report(path: "song.mp3", timeline: try timeline([])))
    let found = try timeline([Answer(valence: 0.5, arousal: 0.25)])
    let report = try XCTUnwrap(Report(path: "a/song.mp3", timeline: found))
    let object = try XCTUnwrap(JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
    // The fields that `sentio-tf predict --format json --timeline` prints.
    XCTAssertEqual(
      Set(object.keys),
      [
        "path", "model", "valence", "arousal", "valence_std", "arousal_std", "quadrant", "mood", "duration_s",
        "windows", "in_domain", "warnings", "timeline",
      ])
    XCTAssertEqual(object["path"] as? String, "a/song.mp3")
    XCTAssertEqual(object["valence"] as? Double, 0.5)
    XCTAssertTrue(object["in_domain"] is NSNull, "what is not known is null")
    let parts = try XCTUnwrap(object["timeline"] as? [[String: Double]])
    XCTAssertEqual(parts, [["start_s": 0, "end_s": 30, "valence": 0.5, "arousal": 0.25]])
    XCTAssertFalse(try report.json(pretty: false).contains(UInt8(ascii: "\n")))
  }

  func testMessages() {
    XCTAssertEqual(
      Messages.unreadable("a.wma", "format"),
      "a.wma cannot be read as sound (format); choose an mp3, m4a, wav or flac file")
    XCTAssertEqual(Messages.breaksOff("a.mp3", atS: 65), "a.mp3 is damaged after 1:05; get it again")
    XCTAssertEqual(Messages.heard(12.4, ofS: 30), "0:12 of 0:30 until the first answer")
    let all = [
      Messages.microphoneDenied, Messages.microphoneBusy, Messages.noMicrophone, Messages.interrupted,
      Messages.routeChanged, Messages.protected, Messages.noModel,
    ]
    XCTAssertEqual(Set(all).count, all.count)
    for text in all {
      XCTAssertTrue(text.contains("; "), "what happened; what to do: \(text)")
      XCTAssertFalse(text.contains("\n") || text.contains("!"), text)
    }
  }

  func testFootprint() throws {
    let before = try XCTUnwrap(Benchmark.footprint())
    let block = [UInt8](repeating: 1, count: 64_000_000)
    let after = try XCTUnwrap(Benchmark.footprint())
    XCTAssertEqual(block.last, 1)
    XCTAssertGreaterThan(after - before, 30_000_000)
  }
}
