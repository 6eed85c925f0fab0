import SentioKit
import SwiftUI

/// Valence and arousal over the song, with a head that follows the sound and can be moved.
struct TimelineChart: View {
  @EnvironmentObject private var player: Player
  let timeline: Timeline
  let durationS: Double

  var body: some View {
    VStack(alignment: .leading, spacing: 6) {
      GeometryReader { proxy in
        let geometry = TimelineGeometry(
          width: proxy.size.width, height: proxy.size.height, durationS: durationS)
        Canvas { context, _ in
          draw(context, geometry)
        }
        .contentShape(Rectangle())
        .gesture(
          DragGesture(minimumDistance: 0)
            .onChanged { player.seek(toS: geometry.seconds(atX: $0.location.x)) }
        )
      }
      .frame(height: 120)
      .accessibilityElement(children: .ignore)
      .accessibilityLabel(Text("Timeline"))
      .accessibilityValue(Text(verbatim: spoken))
      .accessibilityAdjustableAction { direction in
        switch direction {
        case .increment: player.seek(toS: player.timeS + 15)
        case .decrement: player.seek(toS: player.timeS - 15)
        @unknown default: break
        }
      }
      HStack {
        legend("Valence", Color.accentColor, dash: [])
        legend("Arousal", Color.orange, dash: [4, 3])
        Spacer()
        Text(verbatim: Texts.time(durationS))
      }
      .font(.caption)
      .foregroundStyle(.secondary)
      .accessibilityHidden(true)
    }
  }

  private var spoken: String {
    if player.timeS > 0, let segment = timeline.at(player.timeS) {
      return Texts.spoken(segment, atS: player.timeS)
    }
    return Texts.spoken(timeline)
  }

  private func draw(_ context: GraphicsContext, _ geometry: TimelineGeometry) {
    let frame = CGRect(x: 0, y: 0, width: geometry.width, height: geometry.height)
    context.fill(Path(roundedRect: frame, cornerRadius: 8), with: .color(Color.secondary.opacity(0.08)))
    line(
      context, [CGPoint(x: 0, y: geometry.y(0)), CGPoint(x: geometry.width, y: geometry.y(0))],
      Color.secondary.opacity(0.4), StrokeStyle(lineWidth: 1))
    line(context, geometry.line(timeline.segments, \.valence), Color.accentColor, StrokeStyle(lineWidth: 2))
    line(context, geometry.line(timeline.segments, \.arousal), Color.orange, StrokeStyle(lineWidth: 2, dash: [4, 3]))
    if player.isReady {
      let x = geometry.x(atS: player.timeS)
      line(context, [CGPoint(x: x, y: 0), CGPoint(x: x, y: geometry.height)], Color.primary, StrokeStyle(lineWidth: 1))
    }
  }

  private func line(_ context: GraphicsContext, _ places: [CGPoint], _ color: Color, _ style: StrokeStyle) {
    var path = Path()
    path.addLines(places)
    context.stroke(path, with: .color(color), style: style)
  }

  private func legend(_ title: LocalizedStringKey, _ color: Color, dash: [CGFloat]) -> some View {
    HStack(spacing: 4) {
      Canvas { context, size in
        line(
          context, [CGPoint(x: 0, y: size.height / 2), CGPoint(x: size.width, y: size.height / 2)], color,
          StrokeStyle(lineWidth: 2, dash: dash))
      }
      .frame(width: 20, height: 8)
      Text(title)
    }
  }
}
