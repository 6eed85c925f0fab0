import SentioKit
import SwiftUI

/// Latency of a window and memory, on this phone.
struct BenchmarkView: View {
  @StateObject private var model = BenchmarkModel()

  var body: some View {
    Form {
      Section {
        Picker("Threads", selection: $model.threads) {
          ForEach([1, 2, 4], id: \.self) { Text(verbatim: "\($0)").tag($0) }
        }
        Picker("Runs", selection: $model.runs) {
          ForEach([10, 30, 100], id: \.self) { Text(verbatim: "\($0)").tag($0) }
        }
      } footer: {
        Text("A run is one window of sound through the model, after one that warms up.")
      }
      .disabled(model.isRunning)

      Section {
        if model.isRunning {
          ProgressView(value: Double(model.done), total: Double(model.runs)) {
            Text("\(model.done) of \(model.runs) runs")
          }
          Button("Cancel", role: .cancel) { model.cancel() }
        } else {
          Button("Measure") { model.measure() }
        }
      }

      if let result = model.result {
        Section("Result") {
          row("Median", Texts.milliseconds(result.times.medianMs))
          row("95 % are faster than", Texts.milliseconds(result.times.p95Ms))
          row("Memory of the app", result.memory.map(Texts.memory) ?? "not known")
          row("Model", result.model)
        }
      }
      if let failure = model.failure {
        Section { Label(failure, systemImage: "exclamationmark.triangle") }
      }
    }
    .navigationTitle("Benchmark")
    .onDisappear { model.cancel() }
  }

  private func row(_ title: LocalizedStringKey, _ value: String) -> some View {
    LabeledContent(title) {
      Text(verbatim: value).monospacedDigit()
    }
  }
}

/// One measurement at a time.
@MainActor
final class BenchmarkModel: ObservableObject {
  struct Outcome {
    let times: Times
    let memory: Int?  // bytes, with the model loaded
    let model: String
  }

  @Published var threads = 1
  @Published var runs = 10
  @Published private(set) var done = 0
  @Published private(set) var isRunning = false
  @Published private(set) var result: Outcome?
  @Published private(set) var failure: String?

  private var task: Task<Void, Never>?

  func measure() {
    isRunning = true
    done = 0
    result = nil
    failure = nil
    let (threads, runs) = (threads, runs)
    task = Task {
      defer { isRunning = false }
      do {
        let engine = try await ModelStore.shared.engine(threads: threads)
        let times = try await Benchmark.measure(engine, runs: runs, onRun: { [weak self] in await self?.ran($0) })
        if let times {
          result = Outcome(times: times, memory: Benchmark.footprint(), model: engine.card.name)
        }
      } catch is CancellationError {
        return
      } catch {
        failure = error.localizedDescription
      }
    }
  }

  func cancel() {
    task?.cancel()
  }

  private func ran(_ count: Int) {
    done = count
  }
}
