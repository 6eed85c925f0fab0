import SentioKit
import SwiftUI

/// The answer so far: word, numbers, circle, timeline, and the song to listen to.
struct AnswerView: View {
  @EnvironmentObject private var song: SongModel
  @EnvironmentObject private var player: Player
  let timeline: Timeline
  let answer: Song

  var body: some View {
    VStack(spacing: 20) {
      VStack(spacing: 4) {
        Text(verbatim: answer.mood)
          .font(.largeTitle.bold())
        Text(verbatim: song.name)
          .font(.subheadline)
          .foregroundStyle(.secondary)
          .lineLimit(2)
      }
      .accessibilityElement(children: .ignore)
      .accessibilityLabel(Text(verbatim: Texts.spoken(answer)))
      .accessibilityAddTraits(.isHeader)

      CircumplexView(timeline: timeline, answer: answer, current: current)

      HStack(alignment: .top) {
        number("Valence", Texts.value(answer.valence, std: answer.valenceStd))
        number("Arousal", Texts.value(answer.arousal, std: answer.arousalStd))
      }

      TimelineChart(timeline: timeline, durationS: durationS)
      if player.isReady { PlayerBar(durationS: durationS) }
      ForEach(timeline.warnings, id: \.self) { warning in
        Label(warning, systemImage: "info.circle")
          .font(.footnote)
          .foregroundStyle(.secondary)
          .frame(maxWidth: .infinity, alignment: .leading)
      }
      if let report = song.report {
        ShareLink(item: report) {
          Label("Share as JSON", systemImage: "square.and.arrow.up")
        }
      }
      Text(verbatim: "\(timeline.card.name) \u{00B7} \(timeline.card.licence)")
        .font(.caption)
        .foregroundStyle(.secondary)
    }
  }

  /// The window that is heard.
  private var current: Segment? {
    player.isPlaying || player.timeS > 0 ? timeline.at(player.timeS) : nil
  }

  private var durationS: Double {
    max(timeline.durationS ?? 0, song.durationS ?? 0, timeline.segments.last?.endS ?? 0, song.heardS)
  }

  private func number(_ title: LocalizedStringKey, _ value: String) -> some View {
    VStack(spacing: 2) {
      Text(title)
        .font(.caption)
        .foregroundStyle(.secondary)
      Text(verbatim: value)
        .font(.title3.monospacedDigit())
    }
    .frame(maxWidth: .infinity)
    .accessibilityElement(children: .combine)
  }
}

/// Play, pause, and where the song is.
private struct PlayerBar: View {
  @EnvironmentObject private var player: Player
  let durationS: Double

  var body: some View {
    HStack {
      Button {
        player.toggle()
      } label: {
        Image(systemName: player.isPlaying ? "pause.fill" : "play.fill")
          .frame(minWidth: 44, minHeight: 44)
      }
      .accessibilityLabel(player.isPlaying ? Text("Pause") : Text("Play"))
      Spacer()
      Text(verbatim: "\(Texts.time(player.timeS)) / \(Texts.time(durationS))")
        .font(.callout.monospacedDigit())
        .foregroundStyle(.secondary)
    }
  }
}
