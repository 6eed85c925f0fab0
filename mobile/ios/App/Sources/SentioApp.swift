import SwiftUI

@main
struct SentioApp: App {
  @StateObject private var song = SongModel()
  @StateObject private var player = Player()

  var body: some Scene {
    WindowGroup {
      ContentView()
        .environmentObject(song)
        .environmentObject(player)
    }
  }
}
