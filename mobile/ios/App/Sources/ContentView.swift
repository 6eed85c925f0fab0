import SentioKit
import SwiftUI
import UniformTypeIdentifiers

/// The one screen: choose a song or record it, watch the answer grow, listen to it.
struct ContentView: View {
  @EnvironmentObject private var song: SongModel
  @EnvironmentObject private var player: Player
  @Environment(\.scenePhase) private var phase
  @State private var isPicking = false

  var body: some View {
    NavigationStack {
      ScrollView {
        VStack(spacing: 20) {
          SourceButtons(isPicking: $isPicking)
          StatusView()
          if let timeline = song.timeline, let answer = timeline.song {
            AnswerView(timeline: timeline, answer: answer)
          }
        }
        .padding()
        .frame(maxWidth: 640)
        .frame(maxWidth: .infinity)
      }
      .navigationTitle("sentio")
      .toolbar {
        ToolbarItem(placement: .navigationBarTrailing) {
          NavigationLink {
            BenchmarkView()
          } label: {
            Label("Benchmark", systemImage: "speedometer")
          }
          .disabled(song.isBusy)
        }
      }
      .fileImporter(isPresented: $isPicking, allowedContentTypes: [.audio]) { song.picked($0) }
    }
    .onChange(of: song.sound) { sound in
      if let sound { player.open(sound) } else { player.close() }
    }
    .onChange(of: phase) { phase in
      if phase == .background { song.leftScreen() }
    }
    .onChange(of: song.state) { state in
      // The lock screen would end the recording.
      UIApplication.shared.isIdleTimerDisabled = state == .recording
    }
  }
}

/// Choose, record, stop, cancel.
private struct SourceButtons: View {
  @EnvironmentObject private var song: SongModel
  @Binding var isPicking: Bool

  var body: some View {
    VStack(spacing: 12) {
      switch song.state {
      case .listening:
        wide("Cancel", "xmark", role: .cancel) { song.cancel() }
      case .recording:
        wide("Stop and judge", "stop.fill") { song.stopRecording() }
        wide("Cancel", "xmark", role: .cancel) { song.cancel() }
      case .idle, .done, .failed:
        wide("Choose a song", "music.note") { isPicking = true }
        wide("Record with the microphone", "mic") { song.record() }
      }
    }
    .buttonStyle(.bordered)
    .controlSize(.large)
  }

  private func wide(
    _ title: LocalizedStringKey, _ image: String, role: ButtonRole? = nil, action: @escaping () -> Void
  ) -> some View {
    Button(role: role, action: action) {
      Label(title, systemImage: image).frame(maxWidth: .infinity)
    }
  }
}

/// What is going on, or what went wrong and what to do.
private struct StatusView: View {
  @EnvironmentObject private var song: SongModel

  var body: some View {
    VStack(spacing: 12) {
      switch song.state {
      case .idle:
        Text("Where does a song lie between unpleasant and pleasant, calm and energetic? Nothing leaves this phone.")
          .foregroundStyle(.secondary)
      case .listening:
        if let share = song.share {
          ProgressView(value: share) { Text(verbatim: song.name).lineLimit(1) }
        } else {
          ProgressView { Text(verbatim: song.name).lineLimit(1) }
        }
      case .recording:
        Label(recorded, systemImage: "waveform")
          .foregroundStyle(.secondary)
      case .done:
        if let notice = song.notice { Label(notice, systemImage: "exclamationmark.triangle") }
      case .failed(let message):
        Label(message, systemImage: "exclamationmark.triangle")
        if song.isDenied, let settings = URL(string: UIApplication.openSettingsURLString) {
          Link("Open Settings", destination: settings)
        }
      }
    }
    .frame(maxWidth: .infinity, alignment: .leading)
    .multilineTextAlignment(.leading)
  }

  private var recorded: String {
    guard let windowS = song.windowS, song.heardS < windowS else { return Texts.time(song.heardS) }
    return Messages.heard(song.heardS, ofS: windowS)
  }
}
