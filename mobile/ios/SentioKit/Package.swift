// swift-tools-version: 6.0

import PackageDescription

let package = Package(
  name: "SentioKit",
  platforms: [.iOS(.v16), .macOS(.v13)],
  products: [
    .library(name: "SentioKit", targets: ["SentioKit"]),
    .library(name: "SentioLiteRt", targets: ["SentioLiteRt"]),
    .executable(name: "analyze", targets: ["analyze"]),
  ],
  targets: [
    // Headers only: nothing of LiteRT is linked, see LiteRtLibrary.swift.
    .systemLibrary(name: "CLiteRtHeader"),
    .systemLibrary(name: "CFootprint"),
    .target(name: "SentioKit", dependencies: ["CFootprint"]),
    .target(name: "SentioLiteRt", dependencies: ["SentioKit", "CLiteRtHeader"]),
    .executableTarget(name: "analyze", dependencies: ["SentioKit", "SentioLiteRt"]),
    .target(name: "Golden", dependencies: ["SentioKit"], path: "Tests/Golden"),
    .testTarget(name: "SentioKitTests", dependencies: ["SentioKit", "Golden"]),
    .testTarget(name: "SentioLiteRtTests", dependencies: ["SentioKit", "SentioLiteRt", "Golden"]),
  ]
)
