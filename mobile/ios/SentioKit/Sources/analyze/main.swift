import Foundation
import SentioKit
import SentioLiteRt

// analyze MODEL FILE.wav... [--threads N] [--benchmark N]
//
// Prints one line of JSON a file, with the fields of `sentio-tf predict --format json`, or `path` and `error`; with
// --benchmark one more, the latency of a window on one thread.  The library is what SENTIO_LITERT names.
// Exit code 0: done, 1: an expected failure, 2: wrong usage.

struct Arguments {
  var places: [String] = []
  var threads = 1
  var benchmark: Int?

  init(_ words: [String]) throws {
    var words = words[...]
    while let word = words.popFirst() {
      switch word {
      case "--threads": threads = try Self.number(word, words.popFirst())
      case "--benchmark": benchmark = try Self.number(word, words.popFirst())
      case _ where word.hasPrefix("--"): throw SentioError("expected --threads or --benchmark, received \(word)")
      default: places.append(word)
      }
    }
    if places.isEmpty || (places.count == 1 && benchmark == nil) {
      throw SentioError("usage: analyze MODEL FILE.wav... [--threads N] [--benchmark N]")
    }
  }

  private static func number(_ name: String, _ word: String?) throws -> Int {
    guard let number = word.flatMap({ Int($0) }), number > 0 else {
      throw SentioError("expected a number above 0 behind \(name), received \(word ?? "nothing")")
    }
    return number
  }
}

struct Failure: Encodable {
  let path: String
  let error: String
}

struct Latency: Encodable {
  let model: String
  let threads: Int
  let runs: Int
  let median_ms: Double
  let p95_ms: Double
  let memory_bytes: Int?
}

func say(_ line: Data) {
  FileHandle.standardOutput.write(line + Data("\n".utf8))
}

// LiteRT tells stderr of the accelerators that it looks for; nobody asked.
let terminal = FileHandle(fileDescriptor: dup(2))
dup2(open("/dev/null", O_WRONLY), 2)

func complain(_ error: any Error) {
  terminal.write(Data("\(error.localizedDescription)\n".utf8))
}

let encoder = JSONEncoder()
encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]

let arguments: Arguments
do {
  arguments = try Arguments(Array(CommandLine.arguments.dropFirst()))
} catch {
  complain(error)
  exit(2)
}
do {
  guard let place = ProcessInfo.processInfo.environment["SENTIO_LITERT"], !place.isEmpty else {
    throw SentioError("expected LiteRT's library in SENTIO_LITERT, received none; pip install ai-edge-litert has it")
  }
  let library = try LiteRtLibrary(path: place)
  let model = URL(fileURLWithPath: arguments.places[0])
  let engine = try LiteRtEngine(model: model, library: library, threads: arguments.threads)
  var failed = false
  for path in arguments.places.dropFirst() {
    do {
      let timeline = try await listen(to: WavFile(URL(fileURLWithPath: path)), with: engine)
      if let report = Report(path: path, timeline: timeline) { say(try report.json(pretty: false)) }
    } catch {
      failed = true
      say(try encoder.encode(Failure(path: path, error: error.localizedDescription)))
    }
  }
  if let runs = arguments.benchmark {
    let single = try LiteRtEngine(model: model, library: library, threads: 1)
    if let times = try await Benchmark.measure(single, runs: runs) {
      say(
        try encoder.encode(
          Latency(
            model: engine.card.name, threads: 1, runs: times.runs, median_ms: times.medianMs, p95_ms: times.p95Ms,
            memory_bytes: Benchmark.footprint())))
    }
  }
  exit(failed ? 1 : 0)
} catch {
  complain(error)
  exit(1)
}
