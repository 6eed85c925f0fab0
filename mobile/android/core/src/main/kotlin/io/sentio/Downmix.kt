package io.sentio

/** [channels], arrays of one length, to mono: their mean. */
fun downmix(channels: Array<FloatArray>): FloatArray {
    val lengths = channels.map { it.size }.distinct()
    require(lengths.size == 1) { "expected channels of one length, received lengths $lengths" }
    if (channels.size == 1) return channels[0]
    val mono = FloatArray(lengths[0])
    for (i in mono.indices) {
        var sum = 0.0
        for (channel in channels) sum += channel[i]
        mono[i] = (sum / channels.size).toFloat()
    }
    return mono
}
